"""`python -m gptkit`, which is also how torchrun starts it."""

from gptkit.cli import main

if __name__ == "__main__":
    main()
