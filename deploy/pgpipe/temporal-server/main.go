// Command temporal-server is Temporal's server with pipelined transitions. It takes
// Temporal's own static configuration
// (https://docs.temporal.io/references/configuration). Everything except the history
// service's store is the official server.
//
//	temporal-server --config-file temporal.yaml --service history --service frontend
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	_ "time/tzdata" // for systems without one

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.temporal.io/server/temporal"

	"boxoffice/deploy/pgpipe"
)

// services is a flag that may be repeated, like the official server's.
type services []string

func (s *services) String() string { return strings.Join(*s, ",") }

func (s *services) Set(name string) error {
	*s = append(*s, name)
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-server:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	set := flag.NewFlagSet("temporal-server", flag.ExitOnError)
	file := set.String(
		"config-file",
		os.Getenv(config.EnvKeyConfigFile),
		"Temporal's static configuration; empty: the one in the server, which reads the environment",
	)
	off := set.Bool("stock-persistence", false, "leave every transition to the official store: the way back, with the same rows")
	var chosen services
	set.Var(&chosen, "service", "frontend, history, matching, worker, internal-frontend; repeatable (default: all but the last)")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("unknown argument %q; see temporal-server --help", set.Arg(0))
	}
	server, err := newServer(*file, chosen, pgpipe.Options{Off: *off})
	if err != nil {
		return err
	}
	return server.Start() // until a signal
}

func newServer(file string, chosen services, options pgpipe.Options) (temporal.Server, error) {
	source := config.WithEmbedded()
	if file != "" {
		source = config.WithConfigFile(file)
	}
	cfg, err := config.Load(source)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(chosen) == 0 {
		chosen = temporal.DefaultServices
	}
	logger := log.NewZapLogger(log.BuildZapLogger(cfg.Log))
	if !options.Off {
		if reason := pgpipe.GroupVisibility(&cfg.Persistence); reason != "" {
			logger.Warn("visibility writes are not grouped", tag.String("reason", reason))
		}
	}
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	claims, err := authorization.GetClaimMapperFromConfig(&cfg.Global.Authorization, logger)
	if err != nil {
		return nil, fmt.Errorf("claim mapper: %w", err)
	}
	audience, err := authorization.GetAudienceMapperFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, fmt.Errorf("audience mapper: %w", err)
	}
	return temporal.NewServer(
		temporal.ForServices(chosen),
		temporal.WithConfig(cfg),
		temporal.WithLogger(logger),
		temporal.InterruptOn(temporal.InterruptCh()),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
		temporal.WithAudienceGetter(func(*config.Config) authorization.JWTAudienceMapper { return audience }),
		temporal.WithPersistenceFactoryProvider(pgpipe.Provider(options)),
	)
}
