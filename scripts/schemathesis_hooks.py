"""What schemathesis is told about this API that JSON Schema cannot say. Loaded by .config/schemathesis.toml."""

import re
import uuid

import schemathesis

KEY = re.compile(r'^("[!-~]{1,255}"|[!#-~][!-~]{0,254})$')
CURSOR = re.compile(r"^(queued|processing|succeeded|failed|canceled)(\.[A-Za-z0-9_-]{21}[AQgw]){2}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes good values fit what is so at that moment; bad ones stay bad."""
    # A key stands for one request: used for two, it is refused, as it should be. So each request gets its own.
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and KEY.match(key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    # An API key expires in the future.
    if "/keys" in case.operation.path and isinstance(case.body, dict):
        expires_at = case.body.get("expires_at")
        if isinstance(expires_at, str) and TIME.match(expires_at):
            case.body["expires_at"] = "2999" + expires_at[4:] if expires_at[5:10] != "02-29" else "2999-03-01" + expires_at[10:]
    # A bulk call goes on from one with the same action and filter, which none of these is.
    if case.operation.path.endswith("/bulk") and isinstance(case.body, dict):
        cursor = case.body.get("cursor")
        if isinstance(cursor, str) and CURSOR.match(cursor):
            case.body["cursor"] = None
