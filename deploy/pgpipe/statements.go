package pgpipe

import "fmt"

// The statements of Temporal's own store (common/persistence/sql/sqlplugin/postgresql,
// release 1.32.1), with what that store asks first as a condition: 1/0 is an error, and
// an error rolls the whole pipeline back.
const (
	// lockShard holds the shard's row until the commit, as readLockShardQry does: the
	// owner of the next range id waits for it.
	lockShard = `SELECT 1 / (SELECT count(*) FROM (SELECT FROM shards WHERE shard_id = $1 AND range_id = $2 FOR SHARE) AS owned)`

	upsertNode = `INSERT INTO history_node (shard_id, tree_id, branch_id, node_id, prev_txn_id, txn_id, data, data_encoding)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (shard_id, tree_id, branch_id, node_id, txn_id)
		DO UPDATE SET prev_txn_id = excluded.prev_txn_id, data = excluded.data, data_encoding = excluded.data_encoding`
	upsertTree = `INSERT INTO history_tree (shard_id, tree_id, branch_id, data, data_encoding)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (shard_id, tree_id, branch_id)
		DO UPDATE SET data = excluded.data, data_encoding = excluded.data_encoding`

	insertCurrent = `INSERT INTO current_executions
		(shard_id, namespace_id, workflow_id, run_id, create_request_id, state, status, start_time, last_write_version, data, data_encoding)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateCurrent = `WITH updated AS (
			UPDATE current_executions
			SET create_request_id = $5, state = $6, status = $7, start_time = $8, last_write_version = $9, data = $10, data_encoding = $11
			WHERE shard_id = $1 AND namespace_id = $2 AND workflow_id = $3 AND run_id = $4 RETURNING 1)
		SELECT 1 / (SELECT count(*) FROM updated)`

	insertExecution = `INSERT INTO executions
		(shard_id, namespace_id, workflow_id, run_id, next_event_id, last_write_version, data, data_encoding, state, state_encoding, db_record_version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateExecution = `WITH updated AS (
			UPDATE executions
			SET next_event_id = $5, last_write_version = $6, data = $7, data_encoding = $8, state = $9, state_encoding = $10, db_record_version = $11
			WHERE shard_id = $1 AND namespace_id = $2 AND workflow_id = $3 AND run_id = $4 AND db_record_version = $12 RETURNING 1)
		SELECT 1 / (SELECT count(*) FROM updated)`

	insertTransferTask    = `INSERT INTO transfer_tasks (shard_id, task_id, data, data_encoding) VALUES ($1, $2, $3, $4)`
	insertVisibilityTask  = `INSERT INTO visibility_tasks (shard_id, task_id, data, data_encoding) VALUES ($1, $2, $3, $4)`
	insertReplicationTask = `INSERT INTO replication_tasks (shard_id, task_id, data, data_encoding) VALUES ($1, $2, $3, $4)`
	insertImmediateTask   = `INSERT INTO history_immediate_tasks (shard_id, category_id, task_id, data, data_encoding) VALUES ($1, $2, $3, $4, $5)`
	insertTimerTask       = `INSERT INTO timer_tasks (shard_id, visibility_timestamp, task_id, data, data_encoding) VALUES ($1, $2, $3, $4, $5)`
	insertScheduledTask   = `INSERT INTO history_scheduled_tasks
		(shard_id, category_id, visibility_timestamp, task_id, data, data_encoding) VALUES ($1, $2, $3, $4, $5, $6)`

	insertSignalRequested = `INSERT INTO signals_requested_sets (shard_id, namespace_id, workflow_id, run_id, signal_id)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (shard_id, namespace_id, workflow_id, run_id, signal_id) DO NOTHING`
	deleteSignalsRequested = `DELETE FROM signals_requested_sets ` + ofRun + ` AND signal_id = ANY($5::text[])`
	deleteBufferedEvents   = `DELETE FROM buffered_events ` + ofRun
	insertBufferedEvents   = `INSERT INTO buffered_events (shard_id, namespace_id, workflow_id, run_id, data, data_encoding) VALUES ($1, $2, $3, $4, $5, $6)`

	// The official store passes a path as text to a column of bytes, so Postgres reads it
	// as an escaped literal. This store does the same.
	upsertChasmNode = `INSERT INTO chasm_node_maps
		(shard_id, namespace_id, workflow_id, run_id, chasm_path, metadata, metadata_encoding, data, data_encoding)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (shard_id, namespace_id, workflow_id, run_id, chasm_path)
		DO UPDATE SET metadata = excluded.metadata, metadata_encoding = excluded.metadata_encoding,
			data = excluded.data, data_encoding = excluded.data_encoding`
	deleteChasmNode = `DELETE FROM chasm_node_maps ` + ofRun + ` AND chasm_path = $5`

	selectExecution = `SELECT next_event_id, data, data_encoding, state, state_encoding, db_record_version FROM executions ` + ofRun
	selectSignals   = `SELECT signal_id FROM signals_requested_sets ` + ofRun
	selectChasm     = `SELECT chasm_path, metadata, metadata_encoding, data, data_encoding FROM chasm_node_maps ` + ofRun
	selectBuffered  = `SELECT data, data_encoding FROM buffered_events ` + ofRun + ` ORDER BY id`

	ofRun = `WHERE shard_id = $1 AND namespace_id = $2 AND workflow_id = $3 AND run_id = $4`
)

// A mapTable has one kind of a run's pending items, such as its timers, by a key.
type mapTable struct {
	upsert, remove, all string
}

var (
	activities     = newMapTable("activity_info_maps", "schedule_id", "bigint")
	timers         = newMapTable("timer_info_maps", "timer_id", "text")
	children       = newMapTable("child_execution_info_maps", "initiated_id", "bigint")
	cancelRequests = newMapTable("request_cancel_info_maps", "initiated_id", "bigint")
	signals        = newMapTable("signal_info_maps", "initiated_id", "bigint")
)

func newMapTable(table, key, keyType string) mapTable {
	return mapTable{
		upsert: fmt.Sprintf(`INSERT INTO %[1]s (shard_id, namespace_id, workflow_id, run_id, %[2]s, data, data_encoding)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (shard_id, namespace_id, workflow_id, run_id, %[2]s)
			DO UPDATE SET data = excluded.data, data_encoding = excluded.data_encoding`, table, key),
		remove: fmt.Sprintf(`DELETE FROM %s %s AND %s = ANY($5::%s[])`, table, ofRun, key, keyType),
		all:    fmt.Sprintf(`SELECT %s, data, data_encoding FROM %s %s`, key, table, ofRun),
	}
}
