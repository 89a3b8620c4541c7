package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"boxoffice/deploy/devstack/internal/cache"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
	"boxoffice/deploy/devstack/internal/toolchain"
)

const (
	serversName = "devstack-servers"
	buildWithin = 45 * time.Minute // the first time, all of Temporal, on a slow machine with a slow line
)

// Releases of the servers, as in go.mod: a test compares them.
const (
	temporalVersion = "1.32.1"
	webUIVersion    = "2.54.1"
)

// buildProduct puts the two binaries into the data directory, so that a running stack
// keeps its own while another state of the checkout is built for the next.
func (s *stack) buildProduct(ctx context.Context) (string, error) {
	folder := s.BinDir
	if folder == "" {
		folder = s.dir.File("bin")
	}
	s.boxoffice, s.mockpayBin = filepath.Join(folder, "boxoffice"), filepath.Join(folder, "mockpay")
	// The product has no ledger in Postgres; the lab's program is the product plus that
	// baseline.
	module, program := s.Repo, "./cmd/boxoffice"
	if s.ledger == tigerbeetle.Postgres {
		module, program = filepath.Join(s.Repo, "lab"), "./cmd/lab"
	}
	if s.BinDir != "" {
		if s.ledger == tigerbeetle.Postgres {
			s.boxoffice = filepath.Join(folder, "lab")
		}
		return "prebuilt, from " + s.BinDir, missing(s.boxoffice, s.mockpayBin)
	}
	if err := os.MkdirAll(folder, dirMode); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	for _, target := range []toolchain.Target{
		{Module: module, Pkg: program, Out: s.boxoffice, Race: s.Race, Cgo: true},
		{Module: s.Repo, Pkg: "./cmd/mockpay", Out: s.mockpayBin, Race: s.Race, Cgo: true},
	} {
		if err := toolchain.Build(ctx, target); err != nil {
			return "", err
		}
	}
	done := "boxoffice, mockpay"
	if s.Race {
		done += ", with the race detector"
	}
	return done, nil
}

// buildServers puts the servers beside this program, because they are the same for every
// data directory.
func (s *stack) buildServers(ctx context.Context) (string, error) {
	if s.BinDir != "" {
		s.servers = filepath.Join(s.BinDir, serversName)
		if missing(s.servers) == nil {
			return "prebuilt, from " + s.BinDir, nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	s.servers = filepath.Join(filepath.Dir(self), serversName)
	unlock, err := cache.LockFile(s.servers + ".lock") // two stacks that start at once write one binary
	if err != nil {
		return "", err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, buildWithin)
	defer cancel()
	return "Temporal and its Web UI", toolchain.Build(ctx, toolchain.Target{
		Module: filepath.Join(s.Repo, "deploy", "devstack"), Pkg: "./devstack-servers", Out: s.servers,
	})
}

func missing(paths ...string) error {
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s does not exist, or is not a program", path)
		}
	}
	return nil
}
