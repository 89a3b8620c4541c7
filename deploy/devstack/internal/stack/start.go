package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"boxoffice/deploy/devstack/internal/envfile"
	"boxoffice/deploy/devstack/internal/jaeger"
	"boxoffice/deploy/devstack/internal/kafka"
	"boxoffice/deploy/devstack/internal/postgres"
	"boxoffice/deploy/devstack/internal/prometheus"
	"boxoffice/deploy/devstack/internal/supervise"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
)

// How long each part may take. All are far above the usual time: they turn a hang into a
// message.
const (
	postgresReadyWithin    = 2 * time.Minute // a crash recovery reads up to max_wal_size again
	postgresStopWithin     = 30 * time.Second
	temporalReadyWithin    = 3 * time.Minute // the first start makes some hundred tables and indexes
	temporalStopWithin     = 20 * time.Second
	webUIReadyWithin       = 30 * time.Second
	webUIStopWithin        = 5 * time.Second
	codecReadyWithin       = 30 * time.Second
	codecStopWithin        = 10 * time.Second
	tigerBeetleReadyWithin = time.Minute
	tigerBeetleStopWithin  = 10 * time.Second
	mockpayReadyWithin     = 30 * time.Second
	mockpayStopWithin      = 10 * time.Second
	kafkaReadyWithin       = 2 * time.Minute // a crash recovery reads its log again
	kafkaStopWithin        = 20 * time.Second
	jaegerReadyWithin      = 30 * time.Second
	jaegerStopWithin       = 10 * time.Second
	prometheusReadyWithin  = 2 * time.Minute // it reads its write-ahead log again
	prometheusStopWithin   = 20 * time.Second
	boxOfficeReadyWithin   = 2 * time.Minute
	boxOfficeStopWithin    = 30 * time.Second // checkouts in flight are finished
	taskWithin             = 3 * time.Minute  // migrate, seed, initdb, format
	downloadWithin         = 15 * time.Minute
)

type step struct {
	name, note string
	work       func(context.Context) (string, error)
}

// start brings everything up, each after what it needs.
func (s *stack) start(ctx context.Context) error {
	steps := []step{
		{"build", "compiling the box office and MockPay", s.buildProduct},
		{"build servers", "compiling Temporal and its Web UI: some minutes the first time", s.buildServers},
		{"postgres", "starting", s.startPostgres},
		{"temporal", "starting; the first time it makes its schema", s.startTemporal},
		{"temporal-ui", "starting", s.startWebUI},
		{"codec", "starting", s.startCodec},
		{"ledger", "starting", s.startLedger},
		{"migrate", "orders schema, search attributes", s.migrate},
		{"mockpay", "starting", s.startMockpay},
		{"boxoffice", "starting", s.startBoxOffice},
		{"seed", "the sale of the demonstration", s.seed},
	}
	if s.Kafka {
		before := slices.IndexFunc(steps, func(step step) bool { return step.name == "boxoffice" })
		steps = slices.Insert(steps, before, step{"kafka", "starting; the first time some 50 MB are downloaded", s.startKafka})
	}
	if s.Metrics {
		steps = append(steps, step{"prometheus", "starting", s.startPrometheus})
	}
	if s.Traces {
		before := slices.IndexFunc(steps, func(step step) bool { return step.name == "boxoffice" })
		steps = slices.Insert(steps, before, step{"jaeger", "starting; where none is installed the first time it is built, some minutes", s.startJaeger})
	}
	steps = slices.DeleteFunc(steps, func(step step) bool {
		return slices.Contains(s.Without, step.name) || step.name == "seed" && slices.Contains(s.Without, "boxoffice") // it waits for the box office
	})
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Console.Step(step.name, step.note, func() (string, error) { return step.work(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) startPostgres(ctx context.Context) (string, error) {
	var err error
	if dsn, given := s.user[varDatabase]; given {
		s.databases, err = postgres.Adopt(ctx, dsn, s.TemporalDatabase)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s at %s (%s)", s.databases.Version, s.databases.Orders.Address(), varDatabase), s.settle()
	}
	m, err := s.prepareManaged(ctx)
	if err != nil {
		return "", err
	}
	path, args := m.Command()
	err = s.group.Start(ctx, supervise.Spec{
		Name: "postgres", Path: path, Args: args, Env: environ(systemVariables), Dir: "/",
		LogDir: s.logDir(), Address: s.addr.postgres.HostPort(), Credential: m.Identity.Credential,
		Ready:       func(ctx context.Context) error { return postgres.Ping(ctx, m.Administration()) },
		ReadyWithin: postgresReadyWithin,
		StopSignal:  syscall.SIGINT, // fast shutdown: clients are cut off, everything is written
		StopWithin:  postgresStopWithin,
		DeathSignal: syscall.SIGQUIT, // immediate shutdown: its processes end too, the next start recovers
	})
	if err != nil {
		return "", err
	}
	natural, err := m.EnsureDatabases(ctx, s.OrdersCollation)
	if err != nil {
		return "", err
	}
	if s.OrdersCollation != "" && !natural {
		s.Console.Print("  ! postgres       the orders are not in the collation %s: this server knows no ICU", s.OrdersCollation)
	}
	s.databases = m.Databases()
	done := fmt.Sprintf("%s on %s", m.Server.Version, s.addr.postgres.HostPort())
	if m.Identity.Credential != nil {
		done += ", as user " + m.Identity.Name
	}
	return done, s.settle()
}

// prepareManaged finds a server for the data folder and makes both ready.
func (s *stack) prepareManaged(ctx context.Context) (*postgres.Managed, error) {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return nil, err
	}
	home, moved := postgres.Home(s.dir, id)
	if moved {
		s.Console.Print("  ! postgres       user %s may not walk to %s: its files are in %s", id.Name, s.dir.Path, home)
	}
	server, err := s.findServer(ctx, home, id)
	if err != nil {
		return nil, err
	}
	m := &postgres.Managed{Server: server, Identity: id, Port: s.addr.postgres.Port, Stock: s.StockServers, Counts: s.CountStatements}
	if m.Counts && !server.CountsStatements() {
		s.Console.Print("  ! postgres       statements are not counted: this server has no pg_stat_statements")
		m.Counts = false
	}
	return m, m.Prepare(ctx, home, s.dir.File("postgres.json"), s.runAs)
}

func (s *stack) findServer(ctx context.Context, home string, id postgres.Identity) (postgres.Server, error) {
	major, err := postgres.DataMajor(home)
	if err != nil {
		return postgres.Server{}, err
	}
	var installed []postgres.Server
	if !s.Download {
		installed = postgres.Installed(ctx)
	}
	if server, ok := postgres.Choose(installed, major); ok {
		return server, nil
	}
	if major != 0 && major != postgres.DownloadMajor() {
		return postgres.Server{}, fmt.Errorf("the data was made by Postgres %d, which is no longer installed: %s; "+
			"or start from nothing with make clean", major, postgres.InstallHint(major))
	}
	return postgres.Download(ctx, id, SelfPath(), s.runAs)
}

// SelfPath names this program: a build in a folder that the other user cannot walk to can still be run by it through this link (Linux).
func SelfPath() string {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func (s *stack) runAs(ctx context.Context, name string, id postgres.Identity, path string, args ...string) error {
	within, env := taskWithin, environ(systemVariables)
	if name == "postgres-download" {
		within, env = downloadWithin, environ(systemVariables, goVariables, downloadVariables)
	}
	return s.group.Run(ctx, supervise.Spec{
		Name: name, Path: path, Args: args, Env: env, Dir: "/", LogDir: s.logDir(), Credential: id.Credential,
		ReadyWithin: within,
	})
}

func (s *stack) startTemporal(ctx context.Context) (string, error) {
	store, err := temporalDatabase(s.Via.database(linkTemporalPostgres, s.databases.Temporal))
	if err != nil {
		return "", err
	}
	visibility, err := temporalDatabase(s.Via.database(linkTemporalPostgres, s.databases.Visibility))
	if err != nil {
		return "", err
	}
	err = s.group.Start(ctx, supervise.Spec{
		Name: "temporal", Path: s.servers, Args: []string{"temporal"}, Dir: s.dir.Path,
		Env: slices.Concat(environ(systemVariables, goVariables), temporalTuning(s.Options), []string{
			varTemporal + "=" + s.addr.temporal.HostPort(),
			varNamespace + "=" + namespace,
			varCells + "=" + os.Getenv(varCells),
			"DEVSTACK_TEMPORAL_PORTS=" + s.addr.innerText(),
			"DEVSTACK_TEMPORAL_STORE=" + store,
			"DEVSTACK_TEMPORAL_VISIBILITY=" + visibility,
		}),
		LogDir: s.logDir(), Address: s.addr.temporal.HostPort(),
		Announces: true, ReadyWithin: temporalReadyWithin, StopWithin: temporalStopWithin,
	})
	return temporalVersion + " on " + s.addr.temporal.HostPort(), err
}

// temporalTuning is the settings that the server's process gets.
func temporalTuning(o Options) []string {
	if o.StockServers {
		return []string{"DEVSTACK_STOCK_SETTINGS=true"}
	}
	// Measured: a quarter of a checkout's CPU was garbage collection. Avoiding that costs
	// memory.
	tuning := []string{"GOGC=400"}
	if o.StockPersistence {
		tuning = append(tuning, "DEVSTACK_STOCK_PERSISTENCE=true")
	}
	return tuning
}

// temporalDatabase is what devstack-servers reads. Of the options only those of TLS are for every client.
func temporalDatabase(d postgres.Database) (string, error) {
	attributes := map[string]string{}
	for name := range d.Options {
		if strings.HasPrefix(name, "ssl") {
			attributes[name] = d.Options.Get(name)
		}
	}
	raw, err := json.Marshal(map[string]any{
		"address": d.Address(), "name": d.Name, "user": d.User, "password": d.Password, "attributes": attributes,
	})
	return string(raw), err
}

func (s *stack) startWebUI(ctx context.Context) (string, error) {
	err := s.group.Start(ctx, supervise.Spec{
		Name: "temporal-ui", Path: s.servers, Args: []string{"webui"}, Dir: s.dir.Path,
		Env: append(environ(systemVariables, goVariables),
			varTemporalUI+"="+s.addr.temporalUI.URL(),
			varCodec+"="+s.addr.codec.URL(),
			varTemporal+"="+s.addr.temporal.HostPort(),
			varNamespace+"="+namespace,
		),
		LogDir: s.logDir(), Address: s.addr.temporalUI.URL(),
		Ready: answersOK(s.addr.temporalUI.URL() + "/healthz"), ReadyWithin: webUIReadyWithin, StopWithin: webUIStopWithin,
	})
	return webUIVersion + " on " + s.addr.temporalUI.URL(), err
}

// startCodec: the Web UI's pages ask it to decrypt what they show.
func (s *stack) startCodec(ctx context.Context) (string, error) {
	err := s.group.Start(ctx, supervise.Spec{
		Name: "codec", Path: s.boxoffice, Args: []string{"codec"}, Dir: s.dir.Path,
		Env: append(environ(systemVariables, goVariables),
			varCodec+"="+s.addr.codec.URL(),
			varTemporalUI+"="+s.addr.temporalUI.URL(),
			varPayloadKeys+"="+s.secrets[varPayloadKeys],
			varCodecToken+"="+s.secrets[varCodecToken],
		),
		LogDir: s.logDir(), Address: s.addr.codec.URL(),
		Ready: answersOK(s.addr.codec.URL() + "/healthz"), ReadyWithin: codecReadyWithin, StopWithin: codecStopWithin,
	})
	return "payloads for the Web UI on " + s.addr.codec.URL(), err
}

func (s *stack) startLedger(ctx context.Context) (string, error) {
	switch s.ledger {
	case tigerbeetle.Given:
		return fmt.Sprintf("TigerBeetle at %s, cluster %s", s.offer.Addresses, s.cluster), nil
	case tigerbeetle.Own:
		return fmt.Sprintf("TigerBeetle %s on %s, cluster %s", s.offer.Release, s.addr.tigerbeetle.HostPort(), s.cluster),
			s.startTigerBeetle(ctx)
	case tigerbeetle.Postgres:
		return "rows in Postgres, schema ledger (see the note below)", nil
	default:
		return "embedded, in the box office (see the note below)", nil
	}
}

func (s *stack) startTigerBeetle(ctx context.Context) error {
	folder, err := s.dir.Sub("tigerbeetle")
	if err != nil {
		return err
	}
	file := tigerbeetle.FileName(folder, s.cluster)
	run := func(ctx context.Context, name, path string, args ...string) error {
		return s.group.Run(ctx, supervise.Spec{
			Name: name, Path: path, Args: args, Env: environ(systemVariables), Dir: folder, LogDir: s.logDir(), ReadyWithin: taskWithin,
		})
	}
	if err := tigerbeetle.Format(ctx, s.offer.Binary, file, s.cluster, run); err != nil {
		return err
	}
	address := s.addr.tigerbeetle.HostPort()
	return s.group.Start(ctx, supervise.Spec{
		Name: "tigerbeetle", Path: s.offer.Binary, Args: tigerbeetle.StartArgs(address, file), Env: environ(systemVariables), Dir: folder,
		LogDir: s.logDir(), Address: address,
		Ready: takesConnections(address), ReadyWithin: tigerBeetleReadyWithin, StopWithin: tigerBeetleStopWithin,
	})
}

func (s *stack) migrate(ctx context.Context) (string, error) {
	return "orders schema, search attributes", s.task(ctx, "migrate")
}

func (s *stack) seed(ctx context.Context) (string, error) {
	return "the sale of the demonstration is there", s.task(ctx, "seed")
}

func (s *stack) task(ctx context.Context, command string) error {
	return s.group.Run(ctx, supervise.Spec{
		Name: command, Path: s.boxoffice, Args: []string{command}, Env: s.boxOfficeEnviron(), Dir: s.dir.Path,
		LogDir: s.logDir(), ReadyWithin: taskWithin,
	})
}

func (s *stack) startMockpay(ctx context.Context) (string, error) {
	folder, err := s.dir.Sub("mockpay")
	if err != nil {
		return "", err
	}
	err = s.group.Start(ctx, supervise.Spec{
		Name: "mockpay", Path: s.mockpayBin, Dir: s.dir.Path,
		Env: append(environ(systemVariables, goVariables, faultVariables),
			varMockpayURL+"="+s.addr.mockpay.URL(),
			varMockpayDir+"="+folder,
			varURL+"="+s.Via.url(linkMockpayBoxOffice, s.addr.boxOffice.URL()),
			varWebhook+"="+s.secrets[varWebhook],
		),
		LogDir: s.logDir(), Address: s.addr.mockpay.URL(),
		Ready: answersOK(s.addr.mockpay.URL() + "/healthz"), ReadyWithin: mockpayReadyWithin, StopWithin: mockpayStopWithin,
	})
	return s.addr.mockpay.URL(), err
}

func (s *stack) startKafka(ctx context.Context) (string, error) {
	getting, cancel := context.WithTimeout(ctx, downloadWithin)
	defer cancel()
	install, err := kafka.Get(getting)
	if err != nil {
		return "", err
	}
	folder, err := s.dir.Sub("kafka")
	if err != nil {
		return "", err
	}
	address := s.addr.kafka.HostPort()
	broker := kafka.Broker{
		Install: install, Folder: folder, Address: address, Advertised: s.kafkaBrokers(),
		Controller: net.JoinHostPort(s.addr.kafka.Host, fmt.Sprint(s.addr.kafkaController)),
	}
	err = broker.Prepare(ctx, func(ctx context.Context, name, path string, args ...string) error {
		return s.group.Run(ctx, supervise.Spec{
			Name: name, Path: path, Args: args, Env: environ(systemVariables), Dir: folder, LogDir: s.logDir(), ReadyWithin: taskWithin,
		})
	})
	if err != nil {
		return "", err
	}
	path, args := broker.Command()
	err = s.group.Start(ctx, supervise.Spec{
		Name: "kafka", Path: path, Args: args, Env: environ(systemVariables), Dir: folder, LogDir: s.logDir(), Address: address,
		Ready: takesConnections(address), ReadyWithin: kafkaReadyWithin, StopWithin: kafkaStopWithin,
	})
	return fmt.Sprintf("%s on %s", kafka.Release, address), err
}

// kafkaBrokers is where everybody finds the stack's own broker.
func (s *stack) kafkaBrokers() string {
	return s.Via.hostPort(linkBoxOfficeKafka, s.addr.kafka.HostPort())
}

func (s *stack) startPrometheus(ctx context.Context) (string, error) {
	path, err := prometheus.Look()
	if err != nil {
		return "", err
	}
	folder, err := s.dir.Sub("prometheus")
	if err != nil {
		return "", err
	}
	rules, err := filepath.Abs(filepath.Join(s.Repo, "deploy", "prometheus", "boxoffice.rules.yml"))
	if err != nil {
		return "", err
	}
	address := s.addr.prometheus.HostPort()
	server := prometheus.Server{
		Path: path, Folder: folder, Address: address, Target: s.addr.admin.URL(), MockPay: s.addr.mockpay.URL(),
		Token: s.secrets[varAdminToken], Rules: rules,
	}
	if err := server.Prepare(); err != nil {
		return "", err
	}
	path, args := server.Command()
	err = s.group.Start(ctx, supervise.Spec{
		Name: "prometheus", Path: path, Args: args, Env: environ(systemVariables), Dir: folder, LogDir: s.logDir(), Address: address,
		Ready: answersOK("http://" + address + "/-/ready"), ReadyWithin: prometheusReadyWithin, StopWithin: prometheusStopWithin,
	})
	return "http://" + address, err
}

func (s *stack) startJaeger(ctx context.Context) (string, error) {
	building, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	var err error
	if s.jaeger, err = jaeger.Get(building); err != nil {
		return "", err
	}
	address := s.addr.jaeger.URL()
	err = s.group.Start(ctx, supervise.Spec{
		Name: "jaeger", Path: s.jaeger.Path, Args: jaeger.Args(s.addr.jaeger.HostPort(), s.otlp()),
		Env: append(environ(systemVariables, goVariables), "SPAN_STORAGE_TYPE=memory", varSampler+"=always_off"), // it would trace itself, to nobody
		Dir: s.dir.Path, LogDir: s.logDir(), Address: address,
		Ready: answersOK(address + "/api/services"), ReadyWithin: jaegerReadyWithin, StopWithin: jaegerStopWithin,
	})
	return "traces on " + address, err
}

// otlp is where Jaeger takes spans.
func (s *stack) otlp() string { return net.JoinHostPort(s.addr.jaeger.Host, fmt.Sprint(s.addr.otlp)) }

// traceVariables say where spans go: to the stack's own Jaeger, every checkout's, or where the user says.
func (s *stack) traceVariables() (vars []envfile.Var) {
	if s.Traces {
		return []envfile.Var{
			{Name: varOTLP, Value: "http://" + s.otlp()},
			{Name: varSampler, Value: cmp.Or(s.user[varSampler], "always_on")},
			{Name: varJaeger, Value: s.addr.jaeger.URL()},
		}
	}
	for _, name := range []string{varOTLP, varSampler} {
		if value := s.user[name]; value != "" {
			vars = append(vars, envfile.Var{Name: name, Value: value})
		}
	}
	return vars
}

func (s *stack) startBoxOffice(ctx context.Context) (string, error) {
	ledger := string(tigerbeetle.WantTigerBeetle)
	if s.ledger == tigerbeetle.Embedded || s.ledger == tigerbeetle.Postgres {
		ledger = string(s.ledger)
	}
	err := s.group.Start(ctx, supervise.Spec{
		Name: "boxoffice", Path: s.boxoffice, Args: []string{"serve", "--ledger=" + ledger}, Dir: s.dir.Path,
		Env:    s.boxOfficeEnviron(),
		LogDir: s.logDir(), Address: s.addr.boxOffice.URL(),
		Ready: answersOK(s.addr.boxOffice.URL() + "/readyz"), ReadyWithin: boxOfficeReadyWithin, StopWithin: boxOfficeStopWithin,
	})
	return s.addr.boxOffice.URL(), err
}

func (s *stack) boxOfficeEnviron() []string {
	vars := map[string]string{}
	for _, v := range s.variables() {
		vars[v.Name] = v.Value
	}
	delete(vars, varCodecToken) // operators' tools and the codec have it
	s.redirect(vars)
	env := environ(systemVariables, goVariables, productVariables)
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

// variables are those of dev.env, in order: what any tool of the box office needs to work
// with this stack.
func (s *stack) variables() []envfile.Var {
	vars := []envfile.Var{
		{Name: varURL, Value: s.addr.boxOffice.URL()},
		{Name: varAdminURL, Value: s.addr.admin.URL()},
		{Name: varAdminToken, Value: s.secrets[varAdminToken]},
		{Name: varWebhook, Value: s.secrets[varWebhook]},
		{Name: varServerKey, Value: s.secrets[varServerKey]},
		{Name: varPayloadKeys, Value: s.secrets[varPayloadKeys]},
		{Name: varDataDir, Value: s.dir.Path},
		{Name: varMockpayURL, Value: s.addr.mockpay.URL()},
		{Name: varTemporal, Value: s.addr.temporal.HostPort()},
		{Name: varNamespace, Value: namespace},
		{Name: varTemporalUI, Value: s.addr.temporalUI.URL()},
		{Name: varCodec, Value: s.addr.codec.URL()},
		{Name: varCodecToken, Value: s.secrets[varCodecToken]},
		{Name: varDatabase, Value: s.databases.Orders.URL()},
		// Endpoints that people try out listen on this machine.
		{Name: varWebhookNetworks, Value: cmp.Or(os.Getenv(varWebhookNetworks), "127.0.0.0/8,::1/128")},
	}
	if os.Getenv(varSMTPHost) == "" && !s.NoMail { // otherwise mails are sent
		vars = append(vars, envfile.Var{Name: varMailDir, Value: filepath.Join(s.dir.Path, "mail")})
	}
	if s.Kafka {
		vars = append(vars,
			envfile.Var{Name: varKafkaBrokers, Value: s.kafkaBrokers()},
			envfile.Var{Name: varKafkaCreate, Value: "true"})
	} else if brokers := s.user[varKafkaBrokers]; brokers != "" {
		vars = append(vars,
			envfile.Var{Name: varKafkaBrokers, Value: brokers},
			envfile.Var{Name: varKafkaCreate, Value: s.user[varKafkaCreate]})
	}
	vars = append(vars, s.traceVariables()...)
	if s.ledger == tigerbeetle.Postgres { // the others are known by the address
		vars = append(vars, envfile.Var{Name: varLedger, Value: string(s.ledger)})
	}
	if address := s.tigerBeetleAddress(); address != "" {
		vars = append(vars,
			envfile.Var{Name: varTBAddress, Value: address},
			envfile.Var{Name: varTBCluster, Value: s.cluster})
	}
	return vars
}

func (s *stack) tigerBeetleAddress() string {
	switch s.ledger {
	case tigerbeetle.Given:
		return s.offer.Addresses
	case tigerbeetle.Own:
		return s.addr.tigerbeetle.HostPort()
	default:
		return ""
	}
}

// settle writes down what this run has decided, once the databases are known. From here
// on there is state.
func (s *stack) settle() error {
	if err := s.books.write(s.booksFile()); err != nil {
		return err
	}
	return s.writeEnvFile()
}

func (s *stack) writeEnvFile() error {
	vars := append(s.variables(), envfile.Var{Name: varSource, Value: s.envFile()})
	if s.books.Database == ownDatabase {
		vars = append(vars, envfile.Var{Name: varPostgresPort, Value: fmt.Sprint(s.addr.postgres.Port)})
	}
	if s.ledger == tigerbeetle.Own {
		vars = append(vars, envfile.Var{Name: varTBPort, Value: fmt.Sprint(s.addr.tigerbeetle.Port)})
	}
	if s.Kafka {
		vars = append(vars, envfile.Var{Name: varKafkaPort, Value: fmt.Sprint(s.addr.kafka.Port)})
	}
	if s.Metrics {
		vars = append(vars, envfile.Var{Name: varPrometheusPort, Value: fmt.Sprint(s.addr.prometheus.Port)})
	}
	comment := "Written by `make run` on every start; the secrets stay the same. To point a tool at the running stack:\n" +
		"  set -a; . " + filepath.Base(filepath.Dir(s.envFile())) + "/dev.env; set +a\n"
	public := map[string]string{}
	for _, v := range vars {
		public[v.Name] = v.Value
	}
	maps.DeleteFunc(public, func(name, _ string) bool {
		return name == varAdminToken || name == varWebhook || name == varServerKey || name == varPayloadKeys || name == varCodecToken || name == varDatabase
	})
	s.board.update(func(st *Status) { st.Variables = public })
	return envfile.Write(s.envFile(), comment, vars)
}

// client talks to the stack's own servers, never through a proxy.
var client = &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}}

// answersOK is a ready check: the URL answers 200.
func answersOK(target string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", target, resp.Status)
		}
		return nil
	}
}

// takesConnections is a ready check: the address takes a TCP connection.
func takesConnections(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
