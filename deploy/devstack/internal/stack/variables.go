package stack

import (
	"maps"
	"os"
	"slices"
	"strings"

	"boxoffice/deploy/devstack/internal/envfile"
	"boxoffice/deploy/devstack/internal/postgres"
)

// Names of the variables that the stack reads, passes to its processes, and writes to
// dev.env.
const (
	varURL             = "BOXOFFICE_URL"
	varAdminURL        = "BOXOFFICE_ADMIN_URL"
	varAdminToken      = "BOXOFFICE_ADMIN_TOKEN"
	varWebhook         = "BOXOFFICE_WEBHOOK_SECRET"
	varServerKey       = "BOXOFFICE_SERVER_KEY"
	varPayloadKeys     = "BOXOFFICE_PAYLOAD_KEYS"
	varCodec           = "BOXOFFICE_CODEC_URL"
	varCodecToken      = "BOXOFFICE_CODEC_TOKEN"
	varDataDir         = "BOXOFFICE_DATA_DIR"
	varMailDir         = "BOXOFFICE_MAIL_DIR"
	varSMTPHost        = "BOXOFFICE_SMTP_HOST"
	varMockpayURL      = "MOCKPAY_URL"
	varMockpayDir      = "MOCKPAY_DATA_DIR"
	varTemporal        = "TEMPORAL_ADDRESS"
	varNamespace       = "TEMPORAL_NAMESPACE"
	varCells           = "TEMPORAL_CELLS"
	varTemporalUI      = "TEMPORAL_UI_URL"
	varDatabase        = "DATABASE_URL"
	varLedger          = "BOXOFFICE_LEDGER"
	varTBAddress       = "TIGERBEETLE_ADDRESS"
	varTBCluster       = "TIGERBEETLE_CLUSTER_ID"
	varPostgresPort    = "BOXOFFICE_POSTGRES_PORT"
	varTBPort          = "BOXOFFICE_TIGERBEETLE_PORT"
	varWebhookNetworks = "BOXOFFICE_WEBHOOK_NETWORKS"
	varKafkaBrokers    = "KAFKA_BROKERS"
	varKafkaCreate     = "KAFKA_CREATE_TOPICS"
	varKafkaPort       = "BOXOFFICE_KAFKA_PORT"
	varJaeger          = "BOXOFFICE_JAEGER_URL"
	varOTLP            = "OTEL_EXPORTER_OTLP_ENDPOINT"
	varSampler         = "OTEL_TRACES_SAMPLER"
	varPrometheusPort  = "BOXOFFICE_PROMETHEUS_PORT"
	// varSource marks a shell that has sourced a dev.env: it holds that file's path.
	varSource = "BOXOFFICE_DEV_ENV"
)

// stackVariables are never passed from the user's shell to a process automatically.
var stackVariables = []string{
	varURL, varAdminURL, varAdminToken, varWebhook, varServerKey, varPayloadKeys, varCodec, varCodecToken, varDataDir, varMailDir, varMockpayURL,
	varMockpayDir, varTemporal, varNamespace, varTemporalUI, varDatabase, varLedger, varTBAddress, varTBCluster, varPostgresPort, varTBPort, varSource,
	varKafkaBrokers, varKafkaCreate, varKafkaPort, varPrometheusPort,
	varJaeger, varOTLP, varSampler,
}

// listening are the variables that only say where something listens, and how much is traced.
var listening = []string{varURL, varAdminURL, varMockpayURL, varTemporal, varTemporalUI, varCodec, varPostgresPort, varTBPort, varKafkaPort, varPrometheusPort, varJaeger, varOTLP, varSampler}

// userVariables returns what the user has set for this start. A shell that has sourced a
// dev.env has that stack's addresses, but the user did not choose them: using them would
// make this stack write into the other's database, or into its own as if it were somebody
// else's. If our own file has an address and this shell did not source it (its mark is
// missing), the user does want it.
func userVariables(environ []string, ownEnvFile string) map[string]string {
	env := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if slices.Contains(stackVariables, name) && value != "" {
			env[name] = value
		}
	}
	source := env[varSource]
	for _, path := range []string{ownEnvFile, source} {
		if path == "" {
			continue
		}
		sourced, err := envfile.Read(path)
		if err != nil {
			continue // where its secrets are needed, our own file is read again and damage reported
		}
		maps.DeleteFunc(env, func(name, value string) bool {
			isAgain := source == "" && slices.Contains(listening, name)
			return sourced[name] == value && name != varSource && !isAgain
		})
	}
	delete(env, varSource)
	return env
}

// What processes get of the user's environment: what every program of a system may need,
// then each one's own settings. Nothing else of the shell is passed on: it may have the
// keys to anything.
var (
	systemVariables = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
	goVariables     = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK", "GOCOVERDIR"}
	// downloadVariables are for the program that fetches Postgres.
	downloadVariables = []string{
		postgres.RepositoryVariable, "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
	// productVariables are the settings of the box office that are not the stack's own.
	productVariables = []string{"BOXOFFICE_*", "KAFKA_*", "STRIPE_*", "OTEL_*", varCells + "*", "TEMPORAL_DEPLOYMENT_NAME", "TEMPORAL_WORKER_BUILD_ID"}
	// faultVariables are those of the fault tests, for MockPay.
	faultVariables = []string{"BOXOFFICE_FAILPOINTS"}
)

// environ returns the user's variables with these names; * at the end stands for any
// rest. The stack's own are never passed automatically: each process gets those that it
// needs, and no other's secrets.
func environ(names ...[]string) []string {
	wanted := slices.Concat(names...)
	return slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		if slices.Contains(stackVariables, strings.TrimSuffix(name, "_FILE")) { // a secret by its file's name
			return true
		}
		return !slices.ContainsFunc(wanted, func(pattern string) bool {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			return name == pattern || isPrefix && strings.HasPrefix(name, prefix)
		})
	})
}
