package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"boxoffice/deploy/pgpipe"
)

const (
	clusterName = "active" // the server's own default; it is part of what is stored
	// historyShards is fixed for the life of a database. Four let the queue processors work side by side on two cores;
	// the 512 of a cluster would poll the database for nothing.
	historyShards = 4
)

// runTemporal serves until stop. TEMPORAL_ADDRESS is the frontend's address,
// DEVSTACK_TEMPORAL_PORTS the ports of the history, matching and worker services on the
// same host, DEVSTACK_TEMPORAL_STORE and DEVSTACK_TEMPORAL_VISIBILITY the two databases,
// TEMPORAL_NAMESPACE the namespace to create, TEMPORAL_CELLS more of them. Two settings are for the bench:
// DEVSTACK_STOCK_SETTINGS=true keeps the server's own values for what we chose by
// measuring, and DEVSTACK_STOCK_PERSISTENCE=true does not pipeline transitions. The
// number of shards is not among them: it has no default, and 4 is what Temporal's own
// development images use.
func runTemporal(stop <-chan os.Signal) error {
	// Warnings and up: at "info" the server writes several lines for every restart of a poller.
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Level: "warn", Format: "console"}))
	store, err := readDatabase("DEVSTACK_TEMPORAL_STORE", storeConnsMax)
	if err != nil {
		return err
	}
	visibility, err := readDatabase("DEVSTACK_TEMPORAL_VISIBILITY", visibilityConnsMax)
	if err != nil {
		return err
	}
	stock := os.Getenv("DEVSTACK_STOCK_SETTINGS") == "true"
	if !stock {
		defer collectFrom(heapLeast)()
	}
	if err := applySchemas(store, visibility, logger); err != nil {
		return err
	}
	if err := tuneVisibility(visibility, stock, logger); err != nil {
		return err
	}
	addresses, err := readServiceAddresses()
	if err != nil {
		return err
	}
	cfg := serverConfig(store, visibility, addresses)
	if !stockPersistence() {
		if reason := pgpipe.GroupVisibility(&cfg.Persistence); reason != "" {
			logger.Warn("visibility writes are not grouped", tag.String("reason", reason))
		}
	}
	server, err := newServer(cfg, addresses, dynamicConfig(stock), logger)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	for _, namespace := range append([]string{mustEnv("TEMPORAL_NAMESPACE")}, cellNamespaces(os.Getenv("TEMPORAL_CELLS"))...) {
		if err := ensureNamespace(addresses[primitives.FrontendService].hostPort(), namespace); err != nil {
			return err
		}
	}
	if err := announceReady(); err != nil {
		return err
	}
	<-stop
	return server.Stop()
}

type serviceAddress struct {
	host string
	port int
}

func (a serviceAddress) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

func readServiceAddresses() (map[primitives.ServiceName]serviceAddress, error) {
	address := mustEnv("TEMPORAL_ADDRESS")
	host, frontendPort, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("TEMPORAL_ADDRESS: %w", err)
	}
	ports := append([]string{frontendPort}, strings.Split(mustEnv("DEVSTACK_TEMPORAL_PORTS"), ",")...)
	services := []primitives.ServiceName{
		primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	}
	if len(ports) != len(services) {
		return nil, fmt.Errorf("DEVSTACK_TEMPORAL_PORTS: want %d ports", len(services)-1)
	}
	addresses := map[primitives.ServiceName]serviceAddress{}
	for i, service := range services {
		port, err := strconv.Atoi(ports[i])
		if err != nil {
			return nil, fmt.Errorf("port of %s: %w", service, err)
		}
		addresses[service] = serviceAddress{host, port}
	}
	return addresses, nil
}

func serverConfig(store, visibility *config.SQL, addresses map[primitives.ServiceName]serviceAddress) *config.Config {
	frontend := addresses[primitives.FrontendService].hostPort()
	services := map[string]config.Service{}
	for name, a := range addresses {
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: a.port, BindOnLocalHost: true}}
	}
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     "store",
			VisibilityStore:  "visibility",
			NumHistoryShards: historyShards,
			DataStores: map[string]config.DataStore{
				"store":      {SQL: store},
				"visibility": {SQL: visibility},
			},
		},
		Services: services,
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{
			Archival: config.ArchivalNamespaceDefaults{
				History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
				Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			},
		},
		// No Metrics and no PProf: they would be two more listeners, and measurements
		// showed no difference.
	}
}

func newServer(
	cfg *config.Config,
	addresses map[primitives.ServiceName]serviceAddress,
	dynamic dynamicconfig.Client,
	logger log.Logger,
) (temporal.Server, error) {
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, err
	}
	// One process never has peers. With fixed hosts it needs no membership protocol with
	// its four ports, and no wait after a crash until the dead run's entries have aged
	// out of the database.
	hosts := map[primitives.ServiceName]static.Hosts{}
	for service, a := range addresses {
		hosts[service] = static.SingleLocalHost(a.hostPort())
	}
	return temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithDynamicConfigClient(dynamic),
		temporal.WithPersistenceFactoryProvider(pgpipe.Provider(pgpipe.Options{Off: stockPersistence()})),
	)
}

// stockPersistence: Temporal's own store does everything.
func stockPersistence() bool {
	return os.Getenv("DEVSTACK_STOCK_SETTINGS") == "true" || os.Getenv("DEVSTACK_STOCK_PERSISTENCE") == "true"
}

// heapLeast is the smallest heap that is collected. A collection on two cores that the
// database and the box office need, too, makes a dozen payments wait for 0.1 to 0.3 s:
// Go counts cores as idle where this process does not use them, and marks on all of them.
// A sale of a thousand tickets allocates some 600 MB, so it meets at most one, not three.
const heapLeast = 1 << 30

// unlimited is above anything that one machine reaches.
const unlimited = 1_000_000

// workflowsCachedMax limits the workflow states that history keeps, about 20 kB each, and
// five times that with GOGC=400. Temporal's own 128,000 for an hour would take 10 GB:
// what a sale of 100,000 orders leaves behind, and nobody asks for again. A checkout that
// is open so long that it has left the cache is read from Postgres when its payment
// comes.
const workflowsCachedMax = 10_000

func dynamicConfig(stock bool) dynamicconfig.StaticClient {
	client := dynamicconfig.StaticClient{
		// A local stack makes no outside connections.
		dynamicconfig.MakeKey("frontend.enableServerVersionCheck"): false,
	}
	if stock {
		return client
	}
	for key, value := range map[string]any{
		// A single on-sale reaches the limits of a shared cluster (2400, 3000 and 1200
		// requests a second), and they show as errors of the box office. Nobody else uses
		// this server.
		"frontend.rps":                  unlimited,
		"frontend.namespaceRPS":         unlimited,
		"history.rps":                   unlimited,
		"matching.rps":                  unlimited,
		"frontend.persistenceMaxQPS":    unlimited,
		"history.persistenceMaxQPS":     unlimited,
		"matching.persistenceMaxQPS":    unlimited,
		"frontend.namespaceCount":       unlimited, // long polls and waiting Updates at the same time
		"history.hostLevelCacheMaxSize": workflowsCachedMax,
		// Lists may be 0.2 s old. Reading each shard's queue 20 times a second reads the
		// three tasks of a checkout one by one, each in its own transaction.
		"history.visibilityProcessorMaxPollRPS": 5,
		// Likewise: a paid checkout's only task is its end, and nobody waits for that. A
		// retried or late step may begin 0.2 s later under load.
		"history.transferProcessorMaxPollRPS": 5,
		// Lists are 0.2 s old, so a version of the workers that has nothing open can be known to be drained soon, not after
		// three minutes.
		"matching.wv.VersionDrainageStatusVisibilityGracePeriod": "5s",
		"matching.wv.VersionDrainageStatusRefreshInterval":       "5s",
		// Counts payloads that are kept elsewhere. There are none here, and looking for
		// them took 6 % of Temporal's CPU.
		"history.externalPayloadsEnabled": false,
		// One worker process reads the queue: four partitions would only forward tasks to each other.
		"matching.numTaskqueueReadPartitions":  1,
		"matching.numTaskqueueWritePartitions": 1,
	} {
		// As a list: the server remembers by the list's address what it converted the value to, and looks its settings up
		// several times for each request. The client makes a new list of a plain value each time.
		client[dynamicconfig.MakeKey(key)] = []dynamicconfig.ConstrainedValue{{Value: value}}
	}
	return client
}
