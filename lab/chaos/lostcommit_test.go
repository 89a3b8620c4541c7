package main

import (
	"encoding/binary"
	"testing"
)

func message(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(m, body...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestCommitReader(t *testing.T) {
	read := join(message('T', "columns"), message('D', "row"), message('C', "SELECT 1\x00"), message('Z', "I"))
	insideTx := join(message('C', "INSERT 0 1\x00"), message('Z', "T"))
	commit := join(message('C', "COMMIT\x00"), message('Z', "I"))
	bound := message('2', "")
	write := join(message('C', "INSERT 0 1\x00"), message('Z', "I"))
	login := message('R', "SCRAM")
	failed := join(message('E', "SERROR\x00"), message('Z', "I"))
	tests := []struct {
		name      string
		in        []byte
		forward   []byte
		committed bool
	}{
		{"a read passes", read, read, false},
		{"a write inside a transaction is no commit", insideTx, insideTx, false},
		{"a commit is held back", commit, nil, true},
		{"a statement that is its own transaction is held back", join(bound, write), bound, true},
		{"a log-in passes: the client must answer it", login, login, false},
		{"earlier data passes", join(read, write), read, true},
		{"a failure passes", failed, failed, false},
		{"half an answer waits", write[:len(write)-1], nil, false},
		{"joined in the middle of a message", []byte("\xff\xff\xff\xff\xff\xff rows"), []byte("\xff\xff\xff\xff\xff\xff rows"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r commitReader
			forward, committed := r.read(tt.in)
			if string(forward) != string(tt.forward) || committed != tt.committed {
				t.Errorf("read = %q, %v; want %q, %v", forward, committed, tt.forward, tt.committed)
			}
		})
		t.Run(tt.name+", byte by byte", func(t *testing.T) {
			var r commitReader
			var forward []byte
			var committed bool
			for i := range tt.in {
				f, c := r.read(tt.in[i : i+1])
				forward, committed = append(forward, f...), committed || c
			}
			if string(forward) != string(tt.forward) || committed != tt.committed {
				t.Errorf("read = %q, %v; want %q, %v", forward, committed, tt.forward, tt.committed)
			}
		})
	}
}

func TestSwallowsSoManyCommitsAndPassesTheRest(t *testing.T) {
	commit := join(message('C', "COMMIT\x00"), message('Z', "I"))
	toxic := &lostCommit{Lose: 1}
	if _, swallow := toxic.pass(new(commitReader), commit); !swallow {
		t.Error("the first commit's answer passed")
	}
	whole := join(commit, commit, message('C', "SELECT"))
	var r commitReader
	forward, swallow := toxic.pass(&r, whole)
	if swallow {
		t.Error("a second answer was swallowed")
	}
	if got := join(forward, r.rest()); string(got) != string(whole) {
		t.Errorf("came out as %q, went in as %q", got, whole)
	}
}
