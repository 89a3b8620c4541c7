package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"boxoffice/cells"
	"boxoffice/worker"
)

// DialTemporal connects as the environment says, for the commands of a custom build.
func (c config) DialTemporal(ctx context.Context, log *slog.Logger, with ...worker.DialOption) (client.Client, error) {
	if err := c.forTemporal(); err != nil {
		return nil, err
	}
	return c.dialTemporal(ctx, log, with...)
}

// dialTemporal connects as the environment says.
func (c config) dialTemporal(ctx context.Context, log *slog.Logger, with ...worker.DialOption) (client.Client, error) {
	with = append([]worker.DialOption{worker.WithConnection(c.Temporal)}, with...)
	return worker.Dial(ctx, c.TemporalAddress, c.TemporalNamespace, c.Payloads, log, with...)
}

// in is the configuration with a cell in the place of the default one.
func (c config) in(cell cells.Cell) config {
	c.TemporalAddress, c.TemporalNamespace = cell.Address, cell.Namespace
	return c
}

// dialLater is dialTemporal for a cell that may be down for now.
func (c config) dialLater(cell cells.Cell, log *slog.Logger, with ...worker.DialOption) (client.Client, error) {
	with = append([]worker.DialOption{worker.WithConnection(c.Temporal)}, with...)
	return worker.DialLater(cell.Address, cell.Namespace, c.Payloads, log, with...)
}

// readTemporal reads how to reach Temporal, from the variables of Temporal's own tools
// and SDKs (docs.temporal.io, "Environment configuration"): TEMPORAL_API_KEY,
// TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH and so on. It does not read their files:
// what a service does must not depend on somebody's home directory.
func readTemporal() (client.Options, error) {
	key, err := readSecret("TEMPORAL_API_KEY")
	if err != nil {
		return client.Options{}, err
	}
	if err := checkTLSSwitch(string(key)); err != nil {
		return client.Options{}, err
	}
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{
		DisableFile: true, EnvLookup: temporalEnv{apiKey: string(key)},
	})
	if err != nil {
		return client.Options{}, fmt.Errorf("TEMPORAL_TLS…: %w", err)
	}
	return options, nil
}

// readVersion reads what Temporal's Worker Controller sets. The build id is the commit, if the build knows one that says all
// of it: two builds with the same id would replay each other's checkouts.
func readVersion() (worker.Version, error) {
	v := worker.Version{Deployment: os.Getenv("TEMPORAL_DEPLOYMENT_NAME")}
	if v.Deployment == "" {
		return v, nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	revision := revisionOf(info)
	v.BuildID = env("TEMPORAL_WORKER_BUILD_ID", revision)
	if strings.Contains(v.BuildID, " ") {
		return v, fmt.Errorf("TEMPORAL_WORKER_BUILD_ID is not set, and this build has no commit to take its place (%s): "+
			"set it to the release, the same on all nodes of one build", revision)
	}
	if err := v.Check(); err != nil {
		return v, fmt.Errorf("TEMPORAL_DEPLOYMENT_NAME, TEMPORAL_WORKER_BUILD_ID: %w", err)
	}
	return v, nil
}

// checkTLSSwitch refuses values that would silently mean no TLS.
func checkTLSSwitch(apiKey string) error {
	switch on := strings.ToLower(os.Getenv("TEMPORAL_TLS")); on {
	case "", "1", "true":
		return nil
	case "0", "false":
		if apiKey != "" {
			return errors.New("TEMPORAL_TLS is off and TEMPORAL_API_KEY is set: the key would be sent in the clear")
		}
		return nil
	default:
		return errors.New("TEMPORAL_TLS: want true or false")
	}
}

// temporalEnv is the environment as we read it: an empty variable counts as not set, and
// the key may come from a file.
type temporalEnv struct{ apiKey string }

// Environ implements envconfig.EnvLookup.
func (temporalEnv) Environ() []string { return os.Environ() }

// LookupEnv implements envconfig.EnvLookup.
func (e temporalEnv) LookupEnv(name string) (string, bool) {
	value := os.Getenv(name)
	if name == "TEMPORAL_API_KEY" {
		value = e.apiKey
	}
	return value, value != ""
}
