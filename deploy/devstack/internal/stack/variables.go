package stack

import (
	"maps"
	"os"
	"slices"
	"strings"

	"boxoffice/deploy/devstack/internal/envfile"
)

// Names of the variables that the stack reads, hands to its processes, and writes to dev.env.
const (
	varURL          = "BOXOFFICE_URL"
	varAdminURL     = "BOXOFFICE_ADMIN_URL"
	varAdminToken   = "BOXOFFICE_ADMIN_TOKEN"
	varWebhook      = "BOXOFFICE_WEBHOOK_SECRET"
	varServerKey    = "BOXOFFICE_SERVER_KEY"
	varPayloadKeys  = "BOXOFFICE_PAYLOAD_KEYS"
	varCodec        = "BOXOFFICE_CODEC_URL"
	varDataDir      = "BOXOFFICE_DATA_DIR"
	varMockpayURL   = "MOCKPAY_URL"
	varMockpayDir   = "MOCKPAY_DATA_DIR"
	varTemporal     = "TEMPORAL_ADDRESS"
	varNamespace    = "TEMPORAL_NAMESPACE"
	varTemporalUI   = "TEMPORAL_UI_URL"
	varDatabase     = "DATABASE_URL"
	varLedger       = "BOXOFFICE_LEDGER"
	varTBAddress    = "TIGERBEETLE_ADDRESS"
	varTBCluster    = "TIGERBEETLE_CLUSTER_ID"
	varPostgresPort = "BOXOFFICE_POSTGRES_PORT"
	varTBPort       = "BOXOFFICE_TIGERBEETLE_PORT"
	// varSource marks a shell that has sourced a dev.env: it holds that file's path.
	varSource = "BOXOFFICE_DEV_ENV"
)

// stackVariables never pass from the user's shell to a process by themselves.
var stackVariables = []string{
	varURL, varAdminURL, varAdminToken, varWebhook, varServerKey, varPayloadKeys, varCodec, varDataDir, varMockpayURL,
	varMockpayDir, varTemporal, varNamespace, varTemporalUI, varDatabase, varLedger, varTBAddress, varTBCluster, varPostgresPort, varTBPort, varSource,
}

// userVariables returns what the user has set for this start. A shell that has sourced a dev.env holds that stack's
// addresses: those are no wish of the user's, and taken for one they would make this stack write into the other's
// database, or into its own as if it were somebody else's.
func userVariables(environ []string, ownEnvFile string) map[string]string {
	env := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if slices.Contains(stackVariables, name) && value != "" {
			env[name] = value
		}
	}
	for _, path := range []string{ownEnvFile, env[varSource]} {
		if path == "" {
			continue
		}
		sourced, err := envfile.Read(path)
		if err != nil {
			continue // our own file is read again, and its damage reported, where its secrets are needed
		}
		maps.DeleteFunc(env, func(name, value string) bool { return sourced[name] == value && name != varSource })
	}
	delete(env, varSource)
	return env
}

// baseEnviron is the user's environment without the stack's own variables: each process gets those that it needs and
// no other's secrets.
func baseEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(stackVariables, strings.TrimSuffix(name, "_FILE")) // a secret by its file's name
	})
}
