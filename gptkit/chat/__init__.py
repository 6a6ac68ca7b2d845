"""Conversations as text and as tokens.

conversation.py   what a conversation is, and how rows of files become one
preference.py     two answers of which one is preferred, and how rows of files become a pair
template.py       the Jinja text that turns one into text, as Hugging Face stores it
encoding.py       tokens, which of them the assistant says, and where an answer ends
"""
