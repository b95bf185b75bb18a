# The facts of the agent (AGENT.md), from what `ip -o addr` and `df -P -k` print and from files of /proc.
# Addresses of sockets go as the kernel writes them; the host decodes.
BEGIN { row_max = 500 }

function fact(text) { print "fact " token " " text }

# At most so many of a kind: a guest with a container for each port must not make an answer without end.
function listed(kind, text) { if (++rows[kind] <= row_max) fact(kind " " text); else if (rows[kind] == row_max + 1) fact("truncated " kind) }

FILENAME == "-" && ($3 == "inet" || $3 == "inet6") {
  scope = "-"
  for (i = 5; i < NF; i++) if ($i == "scope") scope = $(i + 1)
  listed("address", $2 " " $4 " " scope)
  next
}
FILENAME == "-" && $6 ~ /\/var\/lib\/skep$/ { fact("disk " $2 " " $3) }
FILENAME ~ /\/loadavg$/ { fact("load " $1 " " $2 " " $3) }
FILENAME ~ /\/uptime$/ { fact("uptime " $1) }
FILENAME ~ /\/meminfo$/ && ($1 == "MemTotal:" || $1 == "MemAvailable:") { fact("memory " substr($1, 1, length($1) - 1) " " $2) }
FILENAME ~ /\/pressure\/memory$/ { fact("pressure memory " $0) }
# tcp_states.h: 0A is LISTEN; 07 is a UDP socket that has no peer.
FILENAME ~ /\/tcp6?$/ && $4 == "0A" || FILENAME ~ /\/udp6?$/ && $4 == "07" {
  kind = FILENAME
  sub(/.*\//, "", kind)
  listed(kind, $2)
}
