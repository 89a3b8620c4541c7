package pgpipe

import (
	"context"
	"sync"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/client"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/resolver"
)

// Options of the store. The zero value is the fast way with the server's own logger and metrics.
type Options struct {
	// Off leaves everything to the official store. It is the way back: the rows are the
	// same either way.
	Off bool
	// Stats counts requests, in addition to the server's metrics. It may be nil.
	Stats *Stats
}

// Provider is for temporal.WithPersistenceFactoryProvider. It wraps only the stores of
// the history service, and only if the default store is SQL with the plugin
// postgres12_pgx. It leaves anything else as it is, and logs why.
func Provider(options Options) client.FactoryProviderFn {
	return func(params client.NewFactoryParams) client.Factory {
		if params.ServiceName == primitives.HistoryService {
			cfg := params.Cfg.DataStores[params.Cfg.DefaultStore].SQL
			params.DataStoreFactory = Wrap(params.DataStoreFactory, cfg, options, params.Logger, params.MetricsHandler)
		}
		return client.FactoryProvider(params)
	}
}

// Wrap returns the official factory with a fast execution store. cfg is the configuration
// that the official one was made with. If the fast way cannot be used, it returns base
// and logs the reason.
func Wrap(
	base persistence.DataStoreFactory, cfg *config.SQL, options Options, logger log.Logger, handler metrics.Handler,
) persistence.DataStoreFactory {
	reason := ""
	switch {
	case options.Off:
		reason = "it is switched off"
	case cfg == nil || cfg.PluginName != postgresql.PluginNamePGX:
		reason = "the default store is not SQL with the plugin " + postgresql.PluginNamePGX
	default:
		reason = cannotPipeline(cfg)
	}
	var opened *connections
	if reason == "" {
		var err error
		if opened, err = connect(cfg, resolver.NewNoopResolver()); err != nil {
			reason = err.Error()
		} else if reason = opened.check(context.Background(), cfg.DatabaseName); reason != "" {
			opened.close()
		}
	}
	if reason != "" {
		logger.Warn("transitions are not pipelined: the official store does everything", tag.String("reason", reason))
		return base
	}
	return &factory{
		DataStoreFactory: base, connections: opened, fresh: newFreshRuns(),
		outcomes: outcomes{handler: handler, counts: options.Stats},
	}
}

// cannotPipeline says why connections with this configuration cannot pipeline, or returns
// nothing.
func cannotPipeline(cfg *config.SQL) (reason string) {
	switch {
	case cfg.Connect != nil:
		return "the connections come from a hook"
	case cfg.ConnectAttributes["default_query_exec_mode"] == "simple_protocol":
		return "the simple protocol has no pipelines"
	default:
		return ""
	}
}

// factory makes the official stores, and wraps two of them.
type factory struct {
	persistence.DataStoreFactory
	connections *connections
	fresh       *freshRuns
	outcomes    outcomes
	closing     sync.Once
}

func (f *factory) NewExecutionStore() (persistence.ExecutionStore, error) {
	base, err := f.DataStoreFactory.NewExecutionStore()
	if err != nil {
		return nil, err
	}
	return &store{ExecutionStore: base, connections: f.connections, fresh: f.fresh, outcomes: f.outcomes}, nil
}

func (f *factory) NewShardStore() (persistence.ShardStore, error) {
	base, err := f.DataStoreFactory.NewShardStore()
	if err != nil {
		return nil, err
	}
	return &shardStore{ShardStore: base, fresh: f.fresh}, nil
}

func (f *factory) Close() {
	f.closing.Do(f.connections.close)
	f.DataStoreFactory.Close()
}
