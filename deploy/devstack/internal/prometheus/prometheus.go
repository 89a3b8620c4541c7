// Package prometheus finds the Prometheus of this machine, and says how to run it for the local stack.
package prometheus

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
)

// A MissingError says what this machine lacks and how to get it.
type MissingError struct{ What string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("no Prometheus can run here: %s; install it (Debian, Ubuntu: apt-get install prometheus; macOS: brew install prometheus), "+
		"or run without METRICS=1", e.What)
}

// Look returns the path of the program.
func Look() (string, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return "", &MissingError{"there is no prometheus on PATH"}
	}
	return path, nil
}

// Names of files in the server's folder.
const (
	configFile = "prometheus.yml"
	tokenFile  = "admin-token"
	dataFolder = "data"
)

// A Server is one of the local stack's own.
type Server struct {
	Path, Folder string
	// Address is where it listens, on loopback.
	Address string
	// Target is the listener of the box office that has /metrics, and Token lets it in.
	Target, Token string
	// MockPay is the payment provider, whose /metrics anybody may read.
	MockPay string
	// Rules is the file with the alerts.
	Rules string
}

// Prepare writes its settings.
func (s Server) Prepare() error {
	config, err := s.config()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{configFile: config, tokenFile: s.Token} {
		if err := os.WriteFile(filepath.Join(s.Folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

type object = map[string]any

// config is JSON, which is YAML too. A local stack is looked at closely: it is read every 5 s.
func (s Server) config() (string, error) {
	target, err := url.Parse(s.Target)
	if err != nil {
		return "", err
	}
	mockPay, err := url.Parse(s.MockPay)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(object{
		"global":     object{"scrape_interval": "5s", "evaluation_interval": "5s"},
		"rule_files": []string{s.Rules},
		"scrape_configs": []object{
			{
				"job_name": "boxoffice", "authorization": object{"credentials_file": filepath.Join(s.Folder, tokenFile)},
				"static_configs": []object{{"targets": []string{target.Host}}},
			},
			{"job_name": "mockpay", "static_configs": []object{{"targets": []string{mockPay.Host}}}},
			{"job_name": "prometheus", "static_configs": []object{{"targets": []string{s.Address}}}},
		},
	}, "", "  ")
	return string(text) + "\n", err
}

// Command runs it. It keeps a day.
func (s Server) Command() (path string, args []string) {
	return s.Path, []string{
		"--config.file=" + filepath.Join(s.Folder, configFile), "--storage.tsdb.path=" + filepath.Join(s.Folder, dataFolder),
		"--storage.tsdb.retention.time=1d", "--web.listen-address=" + s.Address,
	}
}
