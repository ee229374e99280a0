"""The program for people and for Jobs."""

import gc
import os

# half a million objects of modules stay for good: to look through them ten times is a sixth of the start (see `app`)
gc.set_threshold(200_000)
# pydantic looks through every installed package for plugins that change what models accept; none of ours is one
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
