package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"boxoffice/bench"
)

const (
	nodeReadyWithin = time.Minute
	nodeStopWithin  = shutdownTimeout + 15*time.Second // the activities' and the batcher's
	nodeLook        = 50 * time.Millisecond
)

// startNode starts this very program once more, on the stack that the environment
// points at. Its log is in the folder.
func startNode(ctx context.Context, c config, folder string) (*bench.Node, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "node.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "serve", "--ledger", c.Ledger)
	cmd.Env = append(os.Environ(), "BOXOFFICE_URL="+url, "BOXOFFICE_ADMIN_URL="+url)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() error { return stopNode(cmd.Process, ended) }
	if err := awaitNode(ctx, url, ended); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; its log is %s", err, log.Name()), stop())
	}
	return &bench.Node{URL: url, AdminURL: url, PID: cmd.Process.Pid, Stop: stop}, nil
}

func awaitNode(ctx context.Context, url string, ended chan error) error {
	client := &http.Client{Timeout: time.Second}
	for until := time.Now().Add(nodeReadyWithin); time.Now().Before(until); {
		if response, err := client.Get(url + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("it ended: %v", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(nodeLook):
		}
	}
	return fmt.Errorf("it was not ready within %v", nodeReadyWithin)
}

// stopNode asks first.
func stopNode(process *os.Process, ended chan error) error {
	_ = process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-ended:
		return nil
	case <-time.After(nodeStopWithin):
		return errors.Join(fmt.Errorf("node %d did not stop within %v and was killed", process.Pid, nodeStopWithin), process.Kill())
	}
}
