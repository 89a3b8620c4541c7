package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The forms that are made for other machines: the package in a Debian of its own, with its systemd, and the image.

// secretFiles are the secrets that units, charts and compose give as files.
var secretFiles = map[string]string{
	"database-url": "DATABASE_URL", "admin-token": "BOXOFFICE_ADMIN_TOKEN", "webhook-secret": "BOXOFFICE_WEBHOOK_SECRET",
	"payload-keys": "BOXOFFICE_PAYLOAD_KEYS", "server-key": "BOXOFFICE_SERVER_KEY",
}

// settingsAt are those that are no secrets.
func (s *stack) settingsAt(at site) map[string]string {
	settings := map[string]string{
		"BOXOFFICE_URL": at.url, "BOXOFFICE_LISTEN": at.listen, "BOXOFFICE_WEBHOOK_LISTEN": at.webhooks, "BOXOFFICE_ADMIN_URL": at.admin,
	}
	for _, name := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TIGERBEETLE_ADDRESS", "TIGERBEETLE_CLUSTER_ID", "MOCKPAY_URL"} {
		settings[name] = s.env[name]
	}
	return settings
}

// must runs an operator's command.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	output, err := said(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func said(cmd *exec.Cmd) (string, error) {
	output, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		return text, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	return text, nil
}

// made runs a target of the Makefile.
func made(t *testing.T, target, version string) {
	t.Helper()
	cmd := exec.Command("make", "--no-print-directory", target, "VERSION="+version)
	cmd.Dir = repository
	must(t, cmd)
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name, []byte(text), mode), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
}

// debianSuite is what the package is made for.
const debianSuite = "bookworm"

// A Debian of its own, with its systemd. It shares the network of this machine, so that it reaches the stack on loopback.
type debian struct {
	root   string
	leader string // process id of its init, seen from here
}

// newDebian unpacks a Debian, whose archive is kept: it takes a minute to make.
func newDebian(t *testing.T) *debian {
	t.Helper()
	archive, err := filepath.Abs(filepath.Join(repository, "bin/forms", debianSuite+".tar"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(archive); err != nil {
		if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
			t.Fatal(err)
		}
		must(t, exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,dbus,ca-certificates", debianSuite, archive+".new.tar"))
		if err := os.Rename(archive+".new.tar", archive); err != nil {
			t.Fatal(err)
		}
	}
	d := &debian{root: t.TempDir()}
	must(t, exec.Command("tar", "--extract", "--numeric-owner", "--directory", d.root, "--file", archive))
	if err := os.Chmod(d.root, 0o755); err != nil { // its users go through it
		t.Fatal(err)
	}
	return d
}

func (d *debian) path(name string) string { return filepath.Join(d.root, name) }

// nspawn is quiet about a machine manager, which it does without.
func (d *debian) nspawn(args ...string) *exec.Cmd {
	return exec.Command("systemd-nspawn", append([]string{"--quiet", "--register=no", "--keep-unit", "--directory", d.root}, args...)...)
}

// boot starts its systemd.
func (d *debian) boot(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	machine := d.nspawn("--boot")
	machine.Stdout, machine.Stderr = log, log
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = machine.Wait(); close(ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := said(d.inside("journalctl", "--no-pager", "--lines=60"))
			console, _ := os.ReadFile(log.Name())
			t.Logf("── its journal\n%s\n── its console\n%s", journal, console)
		}
		_ = machine.Process.Signal(syscall.SIGTERM) // it shuts down
		select {
		case <-ended:
		case <-time.After(stopTimeout):
			_ = machine.Process.Kill()
			<-ended
		}
	})
	pid := machine.Process.Pid
	eventually(t, "Debian's systemd runs", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		d.leader, _, _ = strings.Cut(strings.TrimSpace(string(children)), " ")
		if d.leader == "" {
			return false
		}
		state, _ := said(d.inside("systemctl", "is-system-running"))
		return state == "running" || state == "degraded"
	})
}

// inside is a command of an operator who is logged in.
func (d *debian) inside(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", d.leader, "--mount", "--uts", "--ipc", "--pid", "--", "/usr/bin/env"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// The package, as docs/deploy.md installs it. Its own boxoffice.env is used, with other addresses.
func withPackage(t *testing.T, s *stack, at site) []*runner {
	const version = "0~forms"
	made(t, "deb", version)
	packages, err := filepath.Glob(filepath.Join(repository, "bin/boxoffice_"+version+"_*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("%q, %v, want one package", packages, err)
	}
	d := newDebian(t)
	must(t, exec.Command("cp", packages[0], d.path("boxoffice.deb")))
	must(t, d.nspawn("apt-get", "install", "--yes", "/boxoffice.deb"))
	d.configure(t, s, at)
	d.boot(t)
	if state, _ := said(d.inside("systemctl", "is-active", "boxoffice")); state != "inactive" {
		t.Fatalf("the package is installed, and boxoffice is %s", state)
	}
	must(t, d.inside("systemctl", "start", "boxoffice-migrate"))
	return []*runner{{
		url: at.url, drain: drainOfForms,
		start: func(t *testing.T) {
			t.Helper()
			must(t, d.inside("systemctl", "enable", "--now", "boxoffice"))
		},
		stop: func() error {
			if _, err := said(d.inside("systemctl", "stop", "boxoffice")); err != nil {
				return err
			}
			how, err := said(d.inside("systemctl", "show", "boxoffice", "--property=ActiveState,Result,ExecMainCode,ExecMainStatus,NRestarts"))
			if want := "NRestarts=0\nResult=success\nExecMainCode=1\nExecMainStatus=0\nActiveState=inactive"; err == nil && sortedLines(how) != sortedLines(want) {
				err = fmt.Errorf("systemctl stop left %q, want %q", how, want)
			}
			return err
		},
	}}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// configure does with editor and install what docs/deploy.md does.
func (d *debian) configure(t *testing.T, s *stack, at site) {
	t.Helper()
	env := d.path("etc/boxoffice/boxoffice.env")
	content, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	settings := s.settingsAt(at)
	var lines []string
	for line := range strings.Lines(string(content)) {
		name, _, isSetting := strings.Cut(strings.TrimSpace(line), "=")
		if value, ours := settings[name]; isSetting && ours {
			line = name + "=" + value + "\n"
			delete(settings, name)
		}
		lines = append(lines, line)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		lines = append(lines, name+"="+settings[name]+"\n")
	}
	writeFile(t, env, strings.Join(lines, ""), 0o644)
	for name, variable := range secretFiles {
		writeFile(t, d.path("etc/boxoffice/secrets/"+name), s.env[variable]+"\n", 0o600)
	}
}

const (
	imageTag      = "forms"
	containerName = "boxoffice-forms"
	// What docs/deploy.md adds to the runtime's own profile.
	ioUring = `.syscalls += [{names: ["io_uring_setup", "io_uring_enter", "io_uring_register"], action: "SCMP_ACT_ALLOW"}]`
)

// The image, as docs/deploy.md runs it. It shares the network of this machine, whose stack listens on loopback only.
func withImage(t *testing.T, s *stack, at site) []*runner {
	made(t, "image", imageTag)
	image := "localhost/boxoffice:" + imageTag
	t.Cleanup(func() { _, _ = said(exec.Command("podman", "rmi", image, "localhost/mockpay:"+imageTag)) })
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "seccomp.json"), must(t, exec.Command("jq", ioUring, "/usr/share/containers/seccomp.json")), 0o644)
	var env strings.Builder
	for name, value := range s.settingsAt(at) {
		fmt.Fprintf(&env, "%s=%s\n", name, value)
	}
	secrets := filepath.Join(dir, "secrets")
	if err := os.Mkdir(secrets, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, variable := range secretFiles {
		fmt.Fprintf(&env, "%s_FILE=/run/secrets/%s\n", variable, name)
		file := filepath.Join(secrets, name)
		writeFile(t, file, s.env[variable]+"\n", 0o400)
		if err := os.Chown(file, imageUser, imageUser); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "boxoffice.env"), env.String(), 0o600)
	options := []string{
		"--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--security-opt", "seccomp=" + filepath.Join(dir, "seccomp.json"),
		"--env-file", filepath.Join(dir, "boxoffice.env"), "--volume", secrets + ":/run/secrets:ro", "--network", "host", "--stop-timeout", "45",
	}
	run := func(more ...string) []string { return slices.Concat([]string{"run"}, options, more) }
	must(t, exec.Command("podman", run("--rm", image, "migrate")...))
	started := false
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := said(exec.Command("podman", "logs", "--tail", "60", containerName))
			t.Logf("── its log\n%s", log)
		}
		_, _ = said(exec.Command("podman", "rm", "--force", containerName))
	})
	return []*runner{{
		url: at.url, drain: drainOfForms,
		start: func(t *testing.T) {
			t.Helper()
			if started {
				must(t, exec.Command("podman", "start", containerName))
				return
			}
			must(t, exec.Command("podman", run("--detach", "--name", containerName, image)...))
			started = true
		},
		stop: func() error {
			if _, err := said(exec.Command("podman", "stop", containerName)); err != nil {
				return err
			}
			code, err := said(exec.Command("podman", "inspect", "--format", "{{.State.ExitCode}}", containerName))
			if err == nil && code != "0" {
				err = fmt.Errorf("podman stop left exit code %s", code)
			}
			return err
		},
	}}
}

// imageUser is the image's, who must be able to read the secrets.
const imageUser = 65532
