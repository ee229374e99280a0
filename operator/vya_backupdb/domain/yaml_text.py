"""JSON that a YAML parser reads as well, whatever characters it holds."""

import json
import re
from typing import Any, Final

# what YAML refuses (not printable) or folds (its own line breaks) when it stands unescaped
_NOT_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def yaml_text(value: Any) -> str:
    """Return `value` as JSON that is also YAML.

    Not as Python writes it by itself: beyond the first 65,536 characters JSON escapes a pair, which YAML does not know.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
