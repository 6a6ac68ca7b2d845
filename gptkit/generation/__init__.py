"""From a model and a prompt to tokens, and from tokens to text.

    config      SamplingConfig: how a token is drawn; needs no torch
    sampling    from logits to one token: the filters
    generate    from a prompt to columns of tokens, with a cache
    text        from tokens to text while they come

Deals in token ids; text needs only an object that turns ids into bytes.
"""
