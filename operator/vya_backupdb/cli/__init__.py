"""The program for people and for Jobs."""

import os

# pydantic looks through every installed package for plugins that change what models accept; none of ours is one
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
