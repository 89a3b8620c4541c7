//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"boxoffice/deploy/pgpipe"
)

// envServer makes a process of the test binary a server, with these settings as JSON.
const envServer = "PGPIPE_FAULTS_SERVER"

const historyShards = 4

// services with ports. Temporal's own worker has one, and is not run: it only cleans up.
var services = []primitives.ServiceName{primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService}

type settings struct {
	Ports  []int // one for each of services
	Folder string
	Off    bool // leave everything to the official store
	Stats  string
}

// database is a server's configuration as Temporal takes it.
func database(folder, name string) *config.SQL {
	return &config.SQL{
		PluginName: postgresql.PluginNamePGX, ConnectProtocol: "tcp", ConnectAddr: "localhost:5432", DatabaseName: name, User: "postgres",
		ConnectAttributes: map[string]string{"host": folder}, MaxConns: 20, MaxIdleConns: 20,
	}
}

// serve runs a server until it is killed or its standard input is closed.
func serve(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	stats := &pgpipe.Stats{}
	go writeStats(s.Stats, stats)
	server, err := newServer(s, stats)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	select {}
}

func newServer(s settings, stats *pgpipe.Stats) (temporal.Server, error) {
	// Fixed hosts: two servers do not know of each other, so both think that all shards are theirs. That is harder than a cluster,
	// where the one that comes back soon learns that it has lost its shards.
	hosts, rpc := map[primitives.ServiceName]static.Hosts{}, map[string]config.Service{}
	address := func(i int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(s.Ports[i])) }
	for i, name := range services {
		hosts[name] = static.SingleLocalHost(address(i))
		rpc[string(name)] = config.Service{RPC: config.RPC{GRPCPort: s.Ports[i], BindOnLocalHost: true}}
	}
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore: "store", VisibilityStore: "visibility", NumHistoryShards: historyShards,
			DataStores: map[string]config.DataStore{
				"store":      {SQL: database(s.Folder, databaseStore)},
				"visibility": {SQL: database(s.Folder, databaseVisibility)},
			},
		},
		Services: rpc,
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: "active", CurrentClusterName: "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(0)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: address(0)},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
	}
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range services[:3] {
		names = append(names, string(name))
	}
	return temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(names),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Level: "warn", Format: "console"}))),
		temporal.WithAuthorizer(authorizer),
		temporal.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.MakeKey("frontend.enableServerVersionCheck"):     false,
			dynamicconfig.MakeKey("matching.numTaskqueueReadPartitions"):   1,
			dynamicconfig.MakeKey("matching.numTaskqueueWritePartitions"):  1,
			dynamicconfig.MakeKey("system.namespaceCacheRefreshInterval"):  time.Second,
			dynamicconfig.MakeKey("history.visibilityProcessorMaxPollRPS"): 5,
		}),
		temporal.WithPersistenceFactoryProvider(pgpipe.Provider(pgpipe.Options{Off: s.Off, Stats: stats})),
	)
}

// writeStats keeps the counts in a file, so that they survive a kill.
func writeStats(path string, stats *pgpipe.Stats) {
	for range time.Tick(100 * time.Millisecond) {
		if text, err := json.Marshal(stats.Snapshot()); err == nil && os.WriteFile(path+".new", text, 0o644) == nil {
			_ = os.Rename(path+".new", path)
		}
	}
}
