package prometheus

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMachineWithoutPrometheusIsToldWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Look()
	if missing := (*MissingError)(nil); !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install prometheus") {
		t.Errorf("%v does not say what to install", err)
	}
}

func TestSettings(t *testing.T) {
	rules, err := filepath.Abs("../../../prometheus/boxoffice.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	s := Server{
		Path: "prometheus", Folder: t.TempDir(), Address: "127.0.0.1:9090", Target: "http://127.0.0.1:8081", MockPay: "http://127.0.0.1:8090",
		Token: "a-token", Rules: rules,
	}
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.Folder, configFile))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Scrapes []struct {
			Job           string `json:"job_name"`
			Authorization struct {
				File string `json:"credentials_file"`
			}
			Static []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	// The alerts ask for this job.
	if got := read.Scrapes[0]; got.Job != "boxoffice" || got.Static[0].Targets[0] != "127.0.0.1:8081" {
		t.Errorf("%+v", got)
	}
	if got := read.Scrapes[1]; got.Job != "mockpay" || got.Static[0].Targets[0] != "127.0.0.1:8090" || got.Authorization.File != "" {
		t.Errorf("%+v, want MockPay without the organiser's token", got)
	}
	if strings.Contains(string(text), s.Token) {
		t.Error("the token is in the settings")
	}
	info, err := os.Stat(read.Scrapes[0].Authorization.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v %v, want mode 0600", info, err)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: no promtool on PATH, so no Prometheus reads the settings")
	}
	if output, err := exec.Command(promtool, "check", "config", filepath.Join(s.Folder, configFile)).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
