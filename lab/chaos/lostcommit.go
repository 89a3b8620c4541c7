package main

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// lostCommitType is the toxic's name in toxiproxy.
const lostCommitType = "lost_commit"

func init() { toxics.Register(lostCommitType, new(lostCommit)) }

// lostCommit is a toxic for the answers of a Postgres server: it lets a statement that writes be committed, swallows the
// answer that says so, and ends the connection. The client then knows only that it has sent the statement.
//
// It reads the messages of the protocol (PostgreSQL documentation, "Message Formats") and holds back the answer to a write
// from CommandComplete up to ReadyForQuery: only that one is sent after the commit.
type lostCommit struct {
	Lose int64 `json:"lose"` // how many answers to swallow, over all connections

	lost atomic.Int64
}

// The messages that matter, and the sizes that are believed.
const (
	commandComplete = 'C'
	readyForQuery   = 'Z'
	idle            = 'I' // ReadyForQuery: not in a transaction
	messageHeader   = 5
	messageMaxBytes = 64 << 20
)

// NewState implements toxics.StatefulToxic.
func (t *lostCommit) NewState() any { return new(commitReader) }

// Pipe implements toxics.Toxic.
func (t *lostCommit) Pipe(stub *toxics.ToxicStub) {
	state := stub.State.(*commitReader)
	for {
		select {
		case <-stub.Interrupt:
			if rest := state.rest(); len(rest) > 0 {
				stub.Output <- &stream.StreamChunk{Data: rest}
			}
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			forward, swallow := t.pass(state, c.Data)
			if swallow {
				stub.Close()
				return
			}
			if len(forward) > 0 {
				stub.Output <- &stream.StreamChunk{Data: forward, Timestamp: c.Timestamp}
			}
		}
	}
}

// pass returns the part of the data that may pass, or swallow if the connection ends here.
func (t *lostCommit) pass(state *commitReader, data []byte) (forward []byte, swallow bool) {
	for {
		part, committed := state.read(data)
		forward = append(forward, part...)
		switch {
		case !committed:
			return forward, false
		case t.takeOne():
			return nil, true
		}
		forward, data = append(forward, state.release()...), nil
	}
}

// takeOne reports whether one more answer is to be swallowed.
func (t *lostCommit) takeOne() bool {
	if t.lost.Add(1) <= t.Lose {
		return true
	}
	t.lost.Add(-1)
	return false
}

// A commitReader cuts one connection's answers into messages.
type commitReader struct {
	buffer  []byte // data that must not pass yet
	opaque  bool   // joined in the middle of a message: everything passes
	pending []byte // a committed answer that waits for its verdict
}

// read takes data and returns what may pass. committed says that the answer to a committed write is pending: it is
// not in forward, and what follows it waits for the next read.
func (r *commitReader) read(data []byte) (forward []byte, committed bool) {
	if r.opaque {
		return data, false
	}
	r.buffer = append(r.buffer, data...)
	start, wrote := 0, false
	for at := 0; ; {
		rest := r.buffer[at:]
		if len(rest) < messageHeader {
			break
		}
		size := int(binary.BigEndian.Uint32(rest[1:messageHeader])) + 1
		if size < messageHeader || size > messageMaxBytes {
			r.opaque = true
			return r.rest(), false
		}
		if len(rest) < size {
			break
		}
		at += size
		switch kind, body := rest[0], rest[messageHeader:size]; {
		case kind == commandComplete && isWrite(body):
			wrote = true
		case kind == readyForQuery && wrote && len(body) == 1 && body[0] == idle:
			forward = append(forward, r.buffer[:start]...)
			r.pending, r.buffer = append([]byte(nil), r.buffer[start:at]...), append([]byte(nil), r.buffer[at:]...)
			return forward, true
		case kind == readyForQuery:
			start, wrote = at, false
		case !wrote:
			start = at // data before the answer to a write passes: a login waits for it
		}
	}
	forward = append(forward, r.buffer[:start]...)
	r.buffer = append([]byte(nil), r.buffer[start:]...)
	return forward, false
}

// release gives the pending answer up to be passed on.
func (r *commitReader) release() []byte {
	p := r.pending
	r.pending = nil
	return p
}

// rest is the data held back so far.
func (r *commitReader) rest() []byte {
	b := append(r.release(), r.buffer...)
	r.buffer = nil
	return b
}

func isWrite(tag []byte) bool {
	for _, word := range []string{"COMMIT", "INSERT", "UPDATE", "DELETE"} {
		if bytes.HasPrefix(tag, []byte(word)) {
			return true
		}
	}
	return false
}
