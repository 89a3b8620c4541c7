package pgpipe

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/primitives"
)

// load reads a run's state in one round trip. On any error the caller goes to the
// official store: a read may be repeated.
func (c *connections) load(ctx context.Context, r *persistence.GetWorkflowExecutionRequest) (*persistence.InternalWorkflowMutableState, error) {
	namespace, err := primitives.ParseUUID(r.NamespaceID)
	if err != nil || namespace == nil {
		return nil, errShape
	}
	run, err := primitives.ParseUUID(r.RunID)
	if err != nil || run == nil {
		return nil, errShape
	}
	state := &persistence.InternalWorkflowMutableState{}
	batch := &pgx.Batch{}
	ask := func(sql string) *pgx.QueuedQuery {
		return batch.Queue(sql, r.ShardID, []byte(namespace), r.WorkflowID, []byte(run))
	}
	ask(selectExecution).QueryRow(func(row pgx.Row) error { return scanExecution(row, state) })
	state.ActivityInfos = readMap[int64](ask(activities.all))
	state.TimerInfos = readMap[string](ask(timers.all))
	state.ChildExecutionInfos = readMap[int64](ask(children.all))
	state.RequestCancelInfos = readMap[int64](ask(cancelRequests.all))
	state.SignalInfos = readMap[int64](ask(signals.all))
	ask(selectBuffered).Query(func(rows pgx.Rows) error { return scanBuffered(rows, state) })
	ask(selectSignals).Query(func(rows pgx.Rows) (err error) {
		state.SignalRequestedIDs, err = pgx.AppendRows([]string{}, rows, pgx.RowTo[string])
		return err
	})
	state.ChasmNodes = map[string]persistence.InternalChasmNode{}
	ask(selectChasm).Query(func(rows pgx.Rows) error { return scanChasm(rows, state) })
	err = c.use(ctx, func(ctx context.Context, conn *pgx.Conn) error { return conn.SendBatch(ctx, batch).Close() })
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", r.RunID, err)
	}
	return state, nil
}

func scanExecution(row pgx.Row, into *persistence.InternalWorkflowMutableState) error {
	var info, state []byte
	var infoEncoding, stateEncoding string
	if err := row.Scan(&into.NextEventID, &info, &infoEncoding, &state, &stateEncoding, &into.DBRecordVersion); err != nil {
		return err
	}
	into.ExecutionInfo = persistence.NewDataBlob(info, infoEncoding)
	into.ExecutionState = persistence.NewDataBlob(state, stateEncoding)
	return nil
}

// readMap returns a map that is filled when the pipeline is read.
func readMap[K int64 | string](asked *pgx.QueuedQuery) map[K]*commonpb.DataBlob {
	found := map[K]*commonpb.DataBlob{}
	asked.Query(func(rows pgx.Rows) error {
		var key K
		var data []byte
		var coding string
		_, err := pgx.ForEachRow(rows, []any{&key, &data, &coding}, func() error {
			found[key] = persistence.NewDataBlob(data, coding)
			return nil
		})
		return err
	})
	return found
}

func scanBuffered(rows pgx.Rows, into *persistence.InternalWorkflowMutableState) error {
	var data []byte
	var coding string
	_, err := pgx.ForEachRow(rows, []any{&data, &coding}, func() error {
		into.BufferedEvents = append(into.BufferedEvents, persistence.NewDataBlob(data, coding))
		return nil
	})
	return err
}

func scanChasm(rows pgx.Rows, into *persistence.InternalWorkflowMutableState) error {
	var path, metadata, data []byte
	var metadataEncoding, dataEncoding string
	_, err := pgx.ForEachRow(rows, []any{&path, &metadata, &metadataEncoding, &data, &dataEncoding}, func() error {
		into.ChasmNodes[string(path)] = persistence.InternalChasmNode{
			Metadata: persistence.NewDataBlob(metadata, metadataEncoding), Data: persistence.NewDataBlob(data, dataEncoding),
		}
		return nil
	})
	return err
}
