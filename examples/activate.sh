#!/bin/sh
# One activation with curl; python3 reads the answers and checks that it is kaqi that gives
# them.
#
#   TOKEN=$(kaqi pair shell --scope read --scope activate) sh activate.sh pharmacy
#
# Shows the clerk what to do, asks whether the holder is the right one, prints the receipt.
set -eu
umask 077
export TOKEN="${TOKEN:?pair first: kaqi pair}" AGENT="${AGENT:-127.0.0.1:15274}"
SEEN=$(mktemp -d)
trap 'rm -rf "$SEEN"' EXIT

# ask METHOD PATH [BODY [KEY]]: the answer is in $SEEN/answer. The token stands in no
# argument, where other users of the machine could read it.
ask() {
    {
        echo "Authorization: Bearer $TOKEN"
        echo "Content-Type: application/json"
        [ -z "${4:-}" ] || echo "Idempotency-Key: $4"
    } | curl -s --max-time 60 -X "$1" -H @- ${3:+-d "$3"} "http://$AGENT$2" \
        > "$SEEN/answer" || return
    refused=$(said messages.zh-CN)
    [ -z "$refused" ] || { echo "$(said code): $refused" >&2; exit 1; }
}

# click PATH BODY: a new key for the click, the same again when the answer was lost.
click() {
    key=$(random)
    ask POST "$1" "$2" "$key" || ask POST "$1" "$2" "$key"
}

# said WHERE: what stands there in the answer; nothing where there is nothing.
said() {
    python3 -c '
import json, sys
found = json.load(open(sys.argv[1], encoding="utf-8"))
for step in sys.argv[2].split("."):
    found = found.get(step) if found else None
print("" if found is None else found)' "$SEEN/answer" "$1"
}

random() { python3 -c 'import secrets; print(secrets.token_hex(32))'; }

# Only the kaqi that knows the token can answer this; another program on its port cannot.
prove() {
    nonce=$(random)
    curl -s --max-time 10 -H "Content-Type: application/json" \
        -d "{\"client_id\": \"${TOKEN%%~*}\", \"nonce\": \"$nonce\"}" \
        "http://$AGENT/v1/hello" > "$SEEN/answer" &&
        [ "$(said proof)" = "$(NONCE=$nonce python3 -c '
import hashlib, hmac, os
token, nonce, agent = (os.environ[name] for name in ("TOKEN", "NONCE", "AGENT"))
key = hashlib.sha256(token.encode()).digest()
message = "\n".join(("kaqi-hello", nonce, agent)).encode()
print(hmac.new(key, message, "sha256").hexdigest())')" ]
}

prove || { echo "What answers at $AGENT is not kaqi. 应答的不是卡启。" >&2; exit 1; }
click /v1/transactions "{\"kind\": \"activation\", \"scenario\": \"${1:-pharmacy}\"}"
transaction=/v1/transactions/$(said id)
shown=
while :; do
    [ "$(said step.key)" = "$shown" ] || said step.text.zh-CN
    shown=$(said step.key)
    case $(said state) in succeeded | failed | cancelled | expired) break ;; esac
    case $(said allowed_actions) in *confirm*)
        said result.holder_masked.name
        printf '是这位持卡人吗？ Is it this holder? (y/n) '
        read -r answer
        [ "$answer" = y ] && verb=confirm || verb=cancel
        click "$transaction/$verb" '{}'
        continue
        ;;
    esac
    ask GET "$transaction?wait=25&after_seq=$(said seq)"
done
said problem.messages.zh-CN
said result.receipt.text.zh-CN
outcome=$(said state)
click "$transaction/acknowledge" '{}'
[ "$outcome" = succeeded ]
