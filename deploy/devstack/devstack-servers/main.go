// Command devstack-servers runs the two servers of the local stack that are other
// people's programs used as libraries: the Temporal server and its Web UI. `devstack up`
// starts it once for each, so that a fault test can kill one of them. It is a separate
// binary because the first build takes minutes, and the supervisor must not wait for
// that.
//
// Its settings suit a developer's machine: one process, loopback, no TLS, no
// authentication. Don't use it in production.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

const usage = "usage: devstack-servers temporal | webui (both read their settings from the environment)"

func main() {
	if len(os.Args) != 2 {
		fail(usage)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	var err error
	switch os.Args[1] {
	case "temporal":
		err = runTemporal(stop)
	case "webui":
		err = runWebUI(stop)
	default:
		fail(usage)
	}
	if err != nil {
		fail(err)
	}
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, "devstack-servers:", what)
	os.Exit(1)
}

// mustEnv: the supervisor sets every variable, so a missing one is a mistake there.
func mustEnv(name string) string {
	value := os.Getenv(name)
	if value == "" {
		fail(name + " is not set; this program is started by `devstack up`")
	}
	return value
}

// announceReady tells the supervisor, if there is one.
func announceReady() error {
	fd, err := strconv.Atoi(os.Getenv("DEVSTACK_READY_FD"))
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "ready")
	defer f.Close()
	_, err = f.WriteString("ready\n")
	return err
}
