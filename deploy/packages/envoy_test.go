package packages

import (
	"os"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"
)

// Envoy's own types know every field, and their rules hold. Streams have no timeout, and all else has one.
func TestEnvoy(t *testing.T) {
	content, err := os.ReadFile("../proxy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(text, &bootstrap); err != nil {
		t.Fatal(err)
	}
	if err := bootstrap.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	clusters := map[string]bool{}
	for _, cluster := range bootstrap.GetStaticResources().GetClusters() {
		clusters[cluster.GetName()] = true
		if len(cluster.GetHealthChecks()) == 0 || cluster.GetHealthChecks()[0].GetHttpHealthCheck().GetPath() != "/readyz" {
			t.Errorf("%s is not asked whether it is ready", cluster.GetName())
		}
	}
	var manager hcmv3.HttpConnectionManager
	filter := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
		t.Fatal(err)
	}
	if err := manager.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	if !manager.GetUseRemoteAddress().GetValue() {
		t.Error("clients may choose their X-Forwarded-For")
	}
	streams := 0
	for _, route := range manager.GetRouteConfig().GetVirtualHosts()[0].GetRoutes() {
		to := route.GetRoute()
		if !clusters[to.GetCluster()] {
			t.Errorf("no cluster %s", to.GetCluster())
		}
		switch isStream := route.GetMatch().GetSafeRegex() != nil; {
		case isStream && to.GetTimeout().AsDuration() == 0 && to.GetTimeout() != nil:
			streams++
		case isStream || to.GetTimeout().AsDuration() == 0:
			t.Errorf("%v: timeout %v", route.GetMatch(), to.GetTimeout())
		}
	}
	if streams != 1 {
		t.Error("no route for streams")
	}
}
