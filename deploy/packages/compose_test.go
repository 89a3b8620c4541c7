package packages

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose.yaml is what the compose specification's own library takes, and it is what docs/deploy.md says of it.
func TestCompose(t *testing.T) {
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "../compose", ConfigFiles: []types.ConfigFile{{Filename: "../compose/compose.yaml"}}, Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedVariables(t)
	for _, name := range []string{"postgres", "temporal", "temporal-ui", "tigerbeetle-0", "tigerbeetle-1", "tigerbeetle-2", "mockpay", "prometheus", "grafana", "migrate", "boxoffice"} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q, want loopback only", name, port.Published, port.HostIP)
			}
		}
		if _, tag, tagged := strings.Cut(service.Image[strings.LastIndex(service.Image, "/")+1:], ":"); !tagged || tag == "latest" {
			t.Errorf("%s: %s names no release", name, service.Image)
		}
		isOurs := strings.HasPrefix(service.Image, "localhost/")
		if isOurs && (!service.ReadOnly || len(service.CapDrop) == 0) {
			t.Errorf("%s is not confined", name)
		}
		if !isOurs {
			continue
		}
		mounted := map[string]bool{}
		for _, secret := range service.Secrets {
			mounted["/run/secrets/"+secret.Source] = true
		}
		for variable, value := range service.Environment {
			base := strings.TrimSuffix(variable, "_FILE")
			isMockPays := name == "mockpay" && strings.HasPrefix(variable, "MOCKPAY_")
			if !documented.known[base] && !isMockPays {
				t.Errorf("%s: serve --help knows no %s", name, variable)
			}
			if (base != variable) != documented.secret[base] || base != variable && !mounted[*value] {
				t.Errorf("%s: %s is a secret that is no file, or a file that is not mounted: %s", name, variable, *value)
			}
		}
		for need := range documented.needed {
			if _, ok := service.Environment[need+"_FILE"]; !ok && name != "mockpay" {
				t.Errorf("%s lacks %s", name, need)
			}
		}
	}
}
