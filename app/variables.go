package app

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// A variable of the environment, or several that belong together. The table in
// docs/configuration.md and `boxoffice serve --help` both come from here.
type variable struct {
	names     string // as the docs have them: `A`, `B`
	otherwise string // if it is not set
	what      string
}

// variables lists all that the program reads, except for tests and the lab.
var variables = []variable{
	{"`BOXOFFICE_URL`", "`http://127.0.0.1:8080`",
		"the public address: every link starts with it, such as the way back from paying. `http://` or `https://`, no path"},
	{"`BOXOFFICE_LISTEN`", "the host and port of `BOXOFFICE_URL`; `127.0.0.1:8080` if that is `https://` and a proxy's",
		"where `serve` listens for buyers, such as `0.0.0.0:8080` behind a proxy"},
	{"`BOXOFFICE_TLS_CERT_PATH`, `BOXOFFICE_TLS_KEY_PATH`", "none: a proxy has the certificate",
		"PEM files of the certificate, with its chain, and of its key: TLS 1.2 and 1.3 with HTTP/2 for buyers and the provider, and for the organiser where `BOXOFFICE_ADMIN_URL` is `https://` ([without a proxy](deploy.md#without-a-proxy)). Changed files are taken within 10 s. `BOXOFFICE_URL` must be `https://`"},
	{
		"`BOXOFFICE_WEBHOOK_LISTEN`",
		"none",
		"host and port of a listener for only `/v1/webhooks/…`, `/healthz` and `/readyz`, with connections of its own. Route the provider there (by path, in the proxy), and no crowd can block a payment. Buyers need not reach it",
	},
	{"`BOXOFFICE_ADMIN_URL`", "the same",
		"if it differs, a separate listener for the organiser's routes and `/metrics`. If not, `/metrics` needs the admin token too"},
	{"`BOXOFFICE_WORKER_URL`", "a free port of 127.0.0.1, in the log",
		"where `serve --role worker` answers `/healthz`, `/readyz` and `/metrics`"},
	{"`BOXOFFICE_LOG_SOURCE`", "`network`",
		"what the log has of a refused client's address: its `network` (/24, IPv6 /48), a `hash` that the server key makes (of an IPv4 address, of an IPv6 /64), or `none`"},
	{"`BOXOFFICE_PROFILES`", "`false`",
		"`true`: [profiles](metrics.md#profiles) at `/debug/pprof/`, where `/metrics` is, with the admin token. Where the organiser's routes have no listener of their own, only for clients on this machine"},
	{"`BOXOFFICE_CONNECTIONS_MAX`", "`8192`",
		"connections that a listener serves; above it idle ones are closed, and if none is idle the answer is 503 `overloaded`"},
	{
		"`BOXOFFICE_CONNECTIONS_PER_ADDRESS_MAX`",
		"a quarter of the above",
		"the same for one address, or one IPv6 /64. Addresses in `BOXOFFICE_TRUSTED_PROXIES` are not counted, nor by default loopback. `0`: no bound, for a proxy that is not named there. Some 2,000 connections are enough for an office or a mobile network behind one address",
	},
	{"`BOXOFFICE_RATE_PER_ADDRESS`, `BOXOFFICE_RATE_PER_BUYER`", "`0`: no bound",
		"requests a second and burst, such as `20,100` ([overload](overload.md#rates))"},
	{"`BOXOFFICE_TRUSTED_PROXIES`", "none",
		"addresses and prefixes of proxies whose X-Forwarded-For we trust, separated by commas"},
	{"`BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN`, `BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX`", "`8`, `512`",
		"floor and ceiling of the [adaptive bound](overload.md#the-adaptive-bound)"},
	{"`BOXOFFICE_CHECKOUTS_IN_LINE_MAX`", "`4096`",
		"checkouts that wait in line for it, a second at most; `0`: none, they get 503 ([the line](overload.md#the-line))"},
	{"`BOXOFFICE_HUMAN_CHECK_BITS`", "`16`, except for clients on this machine",
		"zero bits of the proof of work for joining a queue, at most 28; `0`: off. If you set it, clients on this machine must solve it too"},
	{
		"`BOXOFFICE_BEACON_URL`",
		"none",
		"base URLs of drand servers, separated by commas, such as `https://api.drand.sh`: their public randomness goes into the draws of waiting rooms ([how](waiting-room.md#how-the-places-are-drawn)). The same on all nodes",
	},
	{"`BOXOFFICE_BEACON_CHAIN`", "drand's quicknet",
		"a file with what such a server answers at `/{chain}/info`, for another chain of scheme `bls-unchained-g1-rfc9380`"},
	{
		"`BOXOFFICE_RATE_JOINS_PER_ADDRESS`",
		"`1,200`",
		"places in queues that an address may take, a second and burst. Private networks are exempt, because proxies have such addresses; name your proxies in `BOXOFFICE_TRUSTED_PROXIES`, and certainly one with a public address. `0`: no bound",
	},
	{"`BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS`", "`0.1,20`",
		"wrong presale codes and invitations that an address may try, a second and burst. Private networks are exempt, as above. `0`: no bound"},
	{"`BOXOFFICE_ADMIN_TOKEN`", "*secret*, needed",
		"the organisers' bearer tokens, each of at least 16 characters, with spaces between them: alone, or as `name:token`, so that the [record](security.md#who-did-what) says who did what. Commands send the first"},
	{"`BOXOFFICE_WEBHOOK_SECRET`", "*secret*, needed",
		"shared with the provider: `whsec_` and base64 of 24–64 bytes; up to 4, the current one first"},
	{"`BOXOFFICE_PAYLOAD_KEYS`", "*secret*, needed by `serve`, `migrate`, `codec`",
		"`id:base64` of 32 bytes, several separated by commas: the first seals workflow payloads, all open them"},
	{"`BOXOFFICE_CODEC_URL`", "`http://127.0.0.1:8234`",
		"where `boxoffice codec` decrypts payloads for the Web UI at `TEMPORAL_UI_URL`. It listens on loopback only; for remote users put an authenticating proxy in front"},
	{
		"`BOXOFFICE_CODEC_TOKEN`",
		"*secret*, none",
		"what programs show to `boxoffice codec`, such as `temporal … --codec-endpoint URL --codec-auth \"Bearer TOKEN\"`; at least 16 characters. Without it the codec only serves pages of the Web UI",
	},
	{"`BOXOFFICE_SERVER_KEY`", "*secret*, needed",
		"base64 of 32 bytes; order ids, tokens, buyers' pseudonyms, ticket codes and the stored hashes of presale codes derive from it. The same on all nodes"},
	{
		"`DATABASE_URL`",
		"*secret*, needed",
		"the orders database; timeouts may be set in it. A node opens up to 22 connections: 10, 4 for public reads, 4 for waiting rooms if there are any, and 4 for readers of the event log",
	},
	{"`TEMPORAL_ADDRESS`", "`127.0.0.1:7233`",
		"where Temporal's frontend listens"},
	{"`TEMPORAL_NAMESPACE`", "`default`",
		"the namespace of the checkouts"},
	{
		"`TEMPORAL_CELLS`",
		"none: all sales are in the namespace above, the default cell",
		"more [cells](cells.md), separated by commas: `name=host:port/namespace`, or `name=namespace` at `TEMPORAL_ADDRESS`. Credentials and TLS are the same for all. The same on all nodes",
	},
	{"`TEMPORAL_CELLS_FOR_NEW_SALES`", "all, the default cell first",
		"names of the cells that take new sales, separated by commas; `default` is the default cell"},
	{"`TEMPORAL_API_KEY`", "*secret*, none",
		"turns TLS on; Temporal Cloud"},
	{
		"`TEMPORAL_TLS`, `TEMPORAL_TLS_SERVER_CA_CERT_PATH`, `TEMPORAL_TLS_CLIENT_CERT_PATH`, `TEMPORAL_TLS_CLIENT_KEY_PATH`, `TEMPORAL_TLS_SERVER_NAME`",
		"none: no TLS",
		"as [Temporal's own tools](https://docs.temporal.io/develop/environment-configuration) read them; any of the paths turns TLS on",
	},
	{"`TEMPORAL_DEPLOYMENT_NAME`", "none: no versioning",
		"turns Temporal's Worker Versioning on: the name of the worker deployment, the same in each release ([upgrades](upgrade.md))"},
	{"`TEMPORAL_WORKER_BUILD_ID`", "the commit of the build",
		"which version of it this node is; with a deployment name only"},
	{"`TEMPORAL_UI_URL`", "none",
		"if set, order pages link to their workflow; leave it unset where buyers see the pages"},
	{
		"`BOXOFFICE_LEDGER`",
		"`auto`",
		"which ledger, unless `--ledger` says: `auto` (TigerBeetle if it has an address, else embedded), `tigerbeetle`, `embedded`, `postgres` ([a baseline](ledger.md#the-postgres-baseline), in the schema `ledger` of `DATABASE_URL`)",
	},
	{"`TIGERBEETLE_ADDRESS`", "none",
		"all replicas, comma-separated, in the cluster's order; none means the embedded ledger"},
	{"`TIGERBEETLE_CLUSTER_ID`", "`0`",
		"that of `tigerbeetle format`"},
	{"`MOCKPAY_URL`", "`http://127.0.0.1:8090`",
		"the payment provider"},
	{"`BOXOFFICE_PAYMENT_PROVIDERS`", "`mockpay`",
		"names of the payment providers that sales may choose, separated by commas: `mockpay`, `stripe`; the first is the default"},
	{"`STRIPE_API_KEY`", "*secret*, needed for `stripe`",
		"a restricted or secret key ([Stripe](stripe.md)). The same on all nodes, as all that follows of Stripe"},
	{"`STRIPE_WEBHOOK_SECRET`", "*secret*, needed for `stripe`",
		"signing secrets of Stripe's webhooks, `whsec_…`, separated by commas: while you change one, both are valid"},
	{"`STRIPE_SHOP`", "the host of `BOXOFFICE_URL`",
		"tells our sessions from those of others in the same Stripe account. Never change it: what was paid under another name is ignored from then on"},
	{"`STRIPE_METHODS`", "`card`",
		"Stripe's names of the ways to pay, separated by commas, such as `card,paypal,ideal`; only those that are decided while the buyer waits"},
	{"`STRIPE_DELAYED_METHODS`", "none",
		"Stripe's names of ways to pay whose money takes days, separated by commas, such as `sepa_debit,boleto`; offered in sales with `processing_seconds` ([Stripe](stripe.md#delayed-methods))"},
	{"`STRIPE_LIVE`", "`false`",
		"`true`: a live key is meant, although `BOXOFFICE_URL` is not `https://`"},
	{"`STRIPE_URL`", "Stripe's",
		"where a double of Stripe's API listens, for tests"},
	{"`BOXOFFICE_SMTP_HOST`", "none: buyers get no mail",
		"the relay that takes mails to buyers ([mail](mail.md)). The same on all nodes, as all that follows of mail"},
	{"`BOXOFFICE_SMTP_PORT`", "`587`; `465` with `tls`, `25` with `none`",
		"where it listens"},
	{"`BOXOFFICE_SMTP_TLS`", "`starttls`",
		"`starttls`, without which nothing is sent; `tls`: from the first byte; `none`: for a relay on this machine or in a network that you trust, and without a password but on this machine"},
	{"`BOXOFFICE_SMTP_USER`, `BOXOFFICE_SMTP_PASSWORD`", "*secret*, none",
		"who we are to the relay, both or neither"},
	{"`BOXOFFICE_SMTP_TIMEOUT`", "`30s`",
		"of connecting, and of one mail, 1s–5m"},
	{"`BOXOFFICE_SMTP_CONNECTIONS`", "`2`",
		"mails that a node has on their way at a time, at most 20"},
	{"`BOXOFFICE_MAIL_RATE`", "`10`",
		"mails a second that a node hands over: as many as the relay allows, and no more than the node has CPU for (a mail with tickets takes 10 ms)"},
	{"`BOXOFFICE_MAIL_FROM`", "none; needed with a relay",
		"whom mails are from, such as `Box office <tickets@example.com>`; bounces go there"},
	{"`BOXOFFICE_MAIL_LANGUAGE`", "`en`",
		"the language of mails to buyers of whom no other is known"},
	{"`BOXOFFICE_MAIL_TEMPLATES`", "ours",
		"a folder with templates that stand in for ours ([how](mail.md#templates-of-your-own))"},
	{"`BOXOFFICE_MAIL_DIR`", "none",
		"a folder: mails are files there instead of being sent, and pages at `/mail/` show them to who sits at this machine. The local stack has it"},
	{"`BOXOFFICE_AUDIT_INTERVAL`", "`1m`",
		"how often the schedule audits every sale; `migrate` reads it"},
	{
		"`BOXOFFICE_HOLD_GRACE`",
		"`2m`",
		"how long a new hold outlives its checkout's deadline in the ledger, 1m–1h. If an outage lasts longer than that past the deadline, a payment that came in time finds its hold gone. Existing holds keep theirs; nodes may differ while you change it",
	},
	{"`BOXOFFICE_EVENTS_KEPT`", "`2160h`",
		"how long [events](events.md) stay in the log once every reader has them, 24h–87600h"},
	{"`BOXOFFICE_CHECKOUT_EVENTS`", "`false`",
		"`true`: [`checkout.expired`, `checkout.failed` and `checkout.canceled`](events.md#checkoutexpired) are in the log also where no webhook endpoint names them: for Kafka and `GET /v1/events`"},
	{"`KAFKA_BROKERS`", "none: nothing is published",
		"host:port of some of the brokers, separated by commas ([Kafka](kafka.md)). The same on all nodes, as all that follows of Kafka"},
	{"`KAFKA_TOPIC_PREFIX`", "`boxoffice.`",
		"in front of the topics' names, `orders` and `sales`; it may be empty"},
	{"`KAFKA_CREATE_TOPICS`", "`false`",
		"`true`: brokers create topics that are missing, with their own defaults, if they allow it"},
	{"`KAFKA_TLS`, `KAFKA_TLS_SERVER_CA_CERT_PATH`, `KAFKA_TLS_CLIENT_CERT_PATH`, `KAFKA_TLS_CLIENT_KEY_PATH`", "`false`, none: no TLS",
		"`true`, or any of the paths, turns TLS on"},
	{"`KAFKA_SASL_MECHANISM`", "none",
		"`PLAIN` (only with TLS), `SCRAM-SHA-256` or `SCRAM-SHA-512`"},
	{"`KAFKA_USER`, `KAFKA_PASSWORD`", "*secret*, none",
		"who we are to the brokers, with a mechanism"},
	{
		"`BOXOFFICE_WEBHOOK_NETWORKS`",
		"none",
		"networks, separated by commas, that [webhook endpoints](webhooks.md#addresses) may be in although they are not public, also without TLS. The local stack sets `127.0.0.0/8,::1/128`",
	},
	{"`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`", "none: tracing is off",
		"the collector that takes [traces](traces.md), such as `http://127.0.0.1:4318`. The same on all nodes, as the next two of sampling"},
	{"`OTEL_TRACES_EXPORTER`, `OTEL_SDK_DISABLED`", "`otlp` with an endpoint",
		"`otlp` turns tracing on without an endpoint (then it is `localhost`); `none`, or `OTEL_SDK_DISABLED=true`, turns it off"},
	{"`OTEL_TRACES_SAMPLER`", "`traceidratio`",
		"which checkouts are traced: `traceidratio`, `always_on` or `always_off`, also with `parentbased_` in front"},
	{"`OTEL_TRACES_SAMPLER_ARG`", "`0.01`",
		"the share of checkouts that is traced, 0 to 1"},
	{"`OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`", "`http/protobuf`",
		"or `grpc`"},
	{"`OTEL_EXPORTER_OTLP_HEADERS`", "*secret*, none",
		"what the collector wants to see, such as `api-key=…`; several separated by commas"},
	{
		"`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`, `OTEL_SPAN_*`, `OTEL_EXPORTER_OTLP_*`",
		"OpenTelemetry's; the service is `boxoffice`",
		"names, bounds, timeouts and certificates, as [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/) has them",
	},
	{
		"`GOGC`",
		"`60`",
		"the garbage collection target of `serve`, as for every Go program: higher means more memory and less CPU ([measured](lab/performance-notebook.md#with-the-waiting-room))",
	},
	{"`BOXOFFICE_DATA_DIR`", "`.data`",
		"the embedded ledger is in `ledger` under it"},
}

// row is the variable's row of the table in docs/configuration.md.
func (v variable) row() string { return fmt.Sprintf("| %s | %s | %s |", v.names, v.otherwise, v.what) }

var (
	markdownLink = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	markdownMark = strings.NewReplacer("`", "", "*", "")
)

func plainText(markdown string) string {
	return markdownMark.Replace(markdownLink.ReplaceAllString(markdown, "$1"))
}

// writeVariables prints the table for people at a terminal.
func writeVariables(w io.Writer) {
	fmt.Fprint(w, "Environment. A secret may come from a file or from what a command prints: append _FILE or _COMMAND to its name.\n\n")
	for _, v := range variables {
		fmt.Fprintf(w, "  %s (%s)\n%s\n", plainText(v.names), plainText(v.otherwise), wrapped(plainText(v.what), 96, "        "))
	}
}

// wrapped breaks text into lines of a width, each with the indent in front.
func wrapped(text string, width int, indent string) string {
	var lines []string
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			lines, line = append(lines, line), indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
