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

	"boxoffice/app"
	"boxoffice/lab/bench"
)

const (
	nodeReadyWithin = time.Minute
	nodeStopWithin  = 30 * time.Second // the requests', the activities' and the batcher's
	nodeLook        = 50 * time.Millisecond
)

// startNode starts this very program once more, on the stack that the environment
// points at. Its log is added to node.log in the folder.
func startNode(ctx context.Context, c app.Config, folder string) (*bench.Node, error) {
	url, err := freeURL()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", "--ledger", c.Ledger)
	cmd.Env = append(os.Environ(), "BOXOFFICE_URL="+url, "BOXOFFICE_ADMIN_URL="+url)
	n, err := launchNode(cmd, filepath.Join(folder, "node.log"))
	if err != nil {
		return nil, err
	}
	if err := n.awaitReady(ctx, url); err != nil {
		return nil, err
	}
	return &bench.Node{URL: url, AdminURL: url, PID: cmd.Process.Pid, Stop: n.stop}, nil
}

// freeURL is an address that nobody listens at just now.
func freeURL() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return "http://" + l.Addr().String(), l.Close()
}

// A node is a process of the box office that the bench started.
type node struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed once it is gone, for the reason cause
	cause error
}

// launchNode appends the output to the log: a bench starts nodes again and again.
func launchNode(cmd *exec.Cmd, log string) (*node, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &node{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		defer close(n.ended)
		n.cause = cmd.Wait()
	}()
	return n, nil
}

// awaitReady leaves no process behind that does not become ready.
func (n *node) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nodeReadyWithin, fmt.Errorf("not ready within %v; its log is %s", nodeReadyWithin, n.log))
	defer cancel()
	client := &http.Client{Timeout: time.Second}
	for {
		if response, err := client.Get(url + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.ended:
			return n.stop()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), n.stop())
		case <-time.After(nodeLook):
		}
	}
}

// stop asks first. A node that is gone before has failed.
func (n *node) stop() error {
	select {
	case <-n.ended:
		return fmt.Errorf("it had already ended (%w); its log is %s", n.cause, n.log)
	default:
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may end just now
	select {
	case <-n.ended:
		return nil
	case <-time.After(nodeStopWithin):
	}
	err := n.cmd.Process.Kill()
	<-n.ended
	return errors.Join(fmt.Errorf("it did not stop within %v and was killed; its log is %s", nodeStopWithin, n.log), err)
}
