package postgres

type setting struct{ name, value string }

// settings that a server run by the stack needs to run, or that make its log readable.
// What is neither here nor in tuning stays as Postgres ships it, above all fsync,
// full_page_writes and synchronous_commit: an acknowledged order must survive.
var settings = []setting{
	{"listen_addresses", "127.0.0.1"},
	{"unix_socket_directories", ""},          // TCP only: no file of ours in /tmp, no limit on the path's length
	{"password_encryption", "scram-sha-256"}, // the default since 14; said for 13
	{"max_connections", "120"},               // Temporal 50, the box office's pool, psql and tests beside them
	{"log_checkpoints", "off"},               // noise in a development log
	{"log_line_prefix", "%m [%p] %q%u@%d "},  // who asked
	{"log_min_duration_statement", "1s"},     // the statement that explains a slow page
	// Never with values, because those are buyers' addresses and tickets' codes: neither
	// for a slow statement nor for a failed one, whose details show the row.
	{"log_parameter_max_length", "0"},
	{"log_parameter_max_length_on_error", "0"},
	{"log_error_verbosity", "terse"},
	{"log_timezone", "UTC"},                        // as all other logs
	{"timezone", "UTC"},                            // what a session without a zone of its own sees
	{"idle_in_transaction_session_timeout", "60s"}, // a killed client does not keep its lock for ever
}

// counting is for tests and the bench: how often each statement of each database was
// called.
var counting = []setting{
	{"shared_preload_libraries", "pg_stat_statements"},
	{"pg_stat_statements.max", "10000"}, // none is forgotten
}

// tuning is for speed only.
var tuning = []setting{
	{"shared_buffers", "256MB"},                // the whole working set of a local sale
	{"wal_level", "minimal"},                   // nobody replicates or archives a local stack: less is written
	{"max_wal_senders", "0"},                   // required by wal_level=minimal
	{"max_wal_size", "2GB"},                    // fewer checkpoints, so fewer full page images in an on-sale's burst
	{"checkpoint_timeout", "15min"},            // likewise; a crash costs seconds of recovery instead
	{"jit", "off"},                             // every query is small: compiling one costs more than running it
	{"max_parallel_workers_per_gather", "0"},   // likewise, and two cores have other work
	{"autovacuum_naptime", "10s"},              // fresh tables are analysed before the first sale is over: a fifth of Temporal's CPU
	{"autovacuum_analyze_scale_factor", "0.5"}, // and old ones seldom: at 0.05 each was analysed every 10 s, 1 ms of CPU a checkout
}
