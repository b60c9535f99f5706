# What every shell task of a campaign runs: bash task.sh SECONDS CODE [UNTIL_ATTEMPT]
# It writes its start, a beat every 0.1 s, and its end into the ledger, each in one write to a file opened for appending. It ends with CODE while its attempt is at most UNTIL_ATTEMPT, then with 0.
exec {nothing}<> <(:)
worker=$USER
who="$KEELSON_INSTANCE_ID $KEELSON_TASK $KEELSON_ATTEMPT $KEELSON_FENCING_TOKEN $worker $$"
say() {
  read -r uptime _ </proc/uptime
  printf '%s %s %s %s %s\n' "$1" "$who" "$uptime" "${EPOCHREALTIME/[.,]/}" "${2:--}" >>"$LEDGER"
}
say S
beats=$((${1%.*} * 10 + 10#${1#*.}))
while ((beats-- > 0)); do
  read -rt 0.1 -u "$nothing" || true
  say B
done
code=0
if ((KEELSON_ATTEMPT <= ${3:-0})); then code=$2; fi
say E "$code"
exit "$code"
