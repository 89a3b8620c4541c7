package packages

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const chartDir = "../helm/boxoffice"

type values = map[string]any

// settings are ways to install the chart.
var settings = map[string]values{
	"by address": {"tigerbeetle": values{"addresses": "10.0.0.31:3000,10.0.0.32:3000,10.0.0.33:3000"}},
	"everything": {
		"roles": "split", "image": values{"digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"},
		"versioning":  values{"previous": []any{values{"tag": "1.4.0_rc.1", "replicas": 2}, values{"digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111"}}},
		"autoscaling": values{"enabled": true}, "keda": values{"enabled": true}, "ingress": values{"enabled": true, "className": "nginx"},
		"networkPolicy": values{"adminFrom": []any{values{"podSelector": values{"matchLabels": values{"app": "organiser"}}}}},
		"tigerbeetle": values{"statefulSet": values{
			"enabled": true, "format": true, "clusterIPs": []any{"10.96.0.31", "10.96.0.32", "10.96.0.33"}, "storageClassName": "local-nvme",
		}},
	},
}

// kinds are Kubernetes's own types: a field that they do not have is an error. KEDA's is written from its documentation.
var kinds = map[string]func() any{
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"batch/v1 Job":                           func() any { return &batchv1.Job{} },
	"networking.k8s.io/v1 Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"keda.sh/v1alpha1 ScaledObject":          func() any { return &scaledObject{} },
}

type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount, MaxReplicaCount, PollingInterval, CooldownPeriod int32
		Triggers                                                          []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// render installs the chart as `helm template` does, and decodes what comes out strictly.
func render(t *testing.T, with values) map[string]any {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := chartutil.ToRenderValues(chart, with, common.ReleaseOptions{Name: "shop", Namespace: "tickets", IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(chart, rendered)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]any{}
	for file, text := range files {
		reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
		for {
			document, err := reader.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if len(bytes.TrimSpace(regexp.MustCompile(`(?m)^\s*#.*$|^---$`).ReplaceAll(document, nil))) == 0 {
				continue
			}
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal(document, &kind); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, document)
			}
			of := kinds[kind.APIVersion+" "+kind.Kind]
			if of == nil {
				t.Fatalf("%s: %s %s is no kind that the chart may have", file, kind.APIVersion, kind.Kind)
			}
			object := of()
			if err := yaml.UnmarshalStrict(document, object); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, document)
			}
			name := kind.Kind + "/" + object.(metav1.Object).GetName()
			if objects[name] != nil {
				t.Fatalf("%s twice", name)
			}
			objects[name] = object
		}
	}
	return objects
}

func TestChartIsGoodByHelm(t *testing.T) {
	for name, with := range settings {
		result := lint.RunAll(chartDir, with, "tickets")
		for _, message := range result.Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %s", name, message)
			}
		}
	}
}

// podsOf are all templates of pods.
func podsOf(objects map[string]any) map[string]*corev1.PodTemplateSpec {
	pods := map[string]*corev1.PodTemplateSpec{}
	for name, object := range objects {
		switch object := object.(type) {
		case *appsv1.Deployment:
			pods[name] = &object.Spec.Template
		case *appsv1.StatefulSet:
			pods[name] = &object.Spec.Template
		case *batchv1.Job:
			pods[name] = &object.Spec.Template
		}
	}
	return pods
}

func TestChart(t *testing.T) {
	documented := documentedVariables(t)
	for name, with := range settings {
		t.Run(name, func(t *testing.T) {
			objects := render(t, with)
			for pod, template := range podsOf(objects) {
				spec := template.Spec
				if s := spec.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil {
					t.Errorf("%s may be root", pod)
				}
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
					t.Errorf("%s has a token of Kubernetes", pod)
				}
				for _, c := range append(spec.InitContainers, spec.Containers...) {
					s := c.SecurityContext
					if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !reflect.DeepEqual(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
						t.Errorf("%s/%s is not confined", pod, c.Name)
					}
					mounted := map[string]bool{}
					for _, m := range c.VolumeMounts {
						mounted[m.Name] = true
					}
					if strings.Contains(pod, "tigerbeetle") {
						continue
					}
					seen := map[string]bool{}
					for _, v := range c.Env {
						isFile := strings.HasSuffix(v.Name, "_FILE")
						base := strings.TrimSuffix(v.Name, "_FILE")
						if seen[base] || !documented.known[base] || isFile != documented.secret[base] || isFile && !mounted["secrets"] {
							t.Errorf("%s/%s: %s: twice, unknown to serve --help, or a secret that is no file", pod, c.Name, v.Name)
						}
						seen[base] = true
					}
					for need := range documented.needed {
						if !seen[need] {
							t.Errorf("%s/%s lacks %s", pod, c.Name, need)
						}
					}
				}
			}
			for name, object := range objects {
				d, ok := object.(*appsv1.Deployment)
				if !ok {
					continue
				}
				c := d.Spec.Template.Spec.Containers[0]
				if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
					t.Errorf("%s: probes %v %v", name, c.LivenessProbe, c.ReadinessProbe)
				}
				if grace := *d.Spec.Template.Spec.TerminationGracePeriodSeconds; grace < 10+15+10 {
					t.Errorf("%s: %d s are too few to drain and stop", name, grace)
				}
				if len(d.Spec.Template.Spec.TopologySpreadConstraints) == 0 || objects["PodDisruptionBudget/"+d.Name] == nil {
					t.Errorf("%s is not spread, or has no PodDisruptionBudget", name)
				}
			}
			for name, object := range objects { // every selector finds pods
				var selector map[string]string
				switch object := object.(type) {
				case *corev1.Service:
					selector = object.Spec.Selector
				case *policyv1.PodDisruptionBudget:
					selector = object.Spec.Selector.MatchLabels
				case *appsv1.Deployment:
					selector = object.Spec.Selector.MatchLabels
				case *appsv1.StatefulSet:
					selector = object.Spec.Selector.MatchLabels
				case *networkingv1.NetworkPolicy:
					selector = object.Spec.PodSelector.MatchLabels
				default:
					continue
				}
				if !selects(selector, podsOf(objects)) {
					t.Errorf("%s selects no pod: %v", name, selector)
				}
			}
		})
	}
}

func selects(selector map[string]string, pods map[string]*corev1.PodTemplateSpec) bool {
	for _, pod := range pods {
		matches := true
		for key, value := range selector {
			if key != "apps.kubernetes.io/pod-index" && pod.Labels[key] != value { // which Kubernetes itself sets
				matches = false
			}
		}
		if matches {
			return true
		}
	}
	return false
}

func TestChartHasWhatIsAskedFor(t *testing.T) {
	objects := render(t, settings["everything"])
	for _, name := range []string{
		"Deployment/shop-api", "Deployment/shop-worker", "HorizontalPodAutoscaler/shop-api", "ScaledObject/shop-worker", "Ingress/shop", "Job/shop-migrate",
		"StatefulSet/shop-tigerbeetle", "Service/shop-tigerbeetle-2", "NetworkPolicy/shop-tigerbeetle", "Service/shop-webhooks", "Service/shop-admin",
	} {
		if objects[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	api := objects["Deployment/shop-api"].(*appsv1.Deployment)
	if api.Spec.Replicas != nil {
		t.Error("the number of replicas belongs to the HPA")
	}
	for _, v := range api.Spec.Template.Spec.Containers[0].Env {
		if v.Name == "TIGERBEETLE_ADDRESS" && v.Value != "10.96.0.31:3000,10.96.0.32:3000,10.96.0.33:3000" {
			t.Errorf("TigerBeetle at %s", v.Value)
		}
	}
}

// Each release has a version of its own, older ones only their workers, and only what nobody keeps is taken over.
func TestChartHasVersions(t *testing.T) {
	variable := func(c corev1.Container, name string) string {
		for _, v := range c.Env {
			if v.Name == name {
				return v.Value
			}
		}
		return ""
	}
	objects := render(t, settings["everything"])
	for name, want := range map[string][3]string{
		"shop-api":                       {"0000000000000000", "api", "registry.example.com/boxoffice@sha256:0000000000000000000000000000000000000000000000000000000000000000"},
		"shop-worker":                    {"0000000000000000", "worker", "registry.example.com/boxoffice@sha256:0000000000000000000000000000000000000000000000000000000000000000"},
		"shop-previous-1-4-0-rc-1":       {"1.4.0_rc.1", "worker", "registry.example.com/boxoffice:1.4.0_rc.1"},
		"shop-previous-1111111111111111": {"1111111111111111", "worker", "registry.example.com/boxoffice@sha256:1111111111111111111111111111111111111111111111111111111111111111"},
	} {
		d, ok := objects["Deployment/"+name].(*appsv1.Deployment)
		if !ok {
			t.Fatalf("no Deployment %s", name)
		}
		c := d.Spec.Template.Spec.Containers[0]
		got := [3]string{variable(c, "TEMPORAL_WORKER_BUILD_ID"), c.Args[4], c.Image}
		if got != want || variable(c, "TEMPORAL_DEPLOYMENT_NAME") != "boxoffice" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	job := objects["Job/shop-current"].(*batchv1.Job).Spec.Template.Spec.Containers[0]
	if got, want := strings.Join(job.Args, " "), "deployment set-current --wait 10m --take-over-others --keep 1.4.0_rc.1,1111111111111111"; got != want {
		t.Errorf("the Job runs %q, want %q", got, want)
	}
	if got := variable(job, "TEMPORAL_WORKER_BUILD_ID"); got != "0000000000000000" {
		t.Errorf("the Job makes %q current", got)
	}

	off := render(t, values{"versioning": values{"enabled": false}, "tigerbeetle": values{"addresses": "x"}})
	if off["Job/shop-current"] != nil {
		t.Error("without versioning there is nothing to make current")
	}
	if c := off["Deployment/shop-node"].(*appsv1.Deployment).Spec.Template.Spec.Containers[0]; variable(c, "TEMPORAL_DEPLOYMENT_NAME") != "" {
		t.Error("without versioning nodes have no version")
	}
}

// What cannot work is refused before anything is installed.
func TestChartRefuses(t *testing.T) {
	for want, with := range map[string]values{
		"tigerbeetle.addresses":                   {},
		"tigerbeetle.statefulSet.clusterIPs":      {"tigerbeetle": values{"statefulSet": values{"enabled": true}}},
		"versioning.previous":                     {"versioning": values{"previous": []any{values{"replicas": 1}}}, "tigerbeetle": values{"addresses": "x"}},
		"roles: all or split":                     {"roles": "both", "tigerbeetle": values{"addresses": "x"}},
		"keda scales workers":                     {"keda": values{"enabled": true}, "tigerbeetle": values{"addresses": "x"}},
		"secrets.BOXOFFICE_SERVER_KEY.secretName": {"secrets": values{"BOXOFFICE_SERVER_KEY": values{"secretName": ""}}, "tigerbeetle": values{"addresses": "x"}},
	} {
		chart, err := loader.Load(chartDir)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := chartutil.ToRenderValues(chart, with, common.ReleaseOptions{Name: "shop"}, common.DefaultCapabilities)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Render(chart, rendered); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", with, err, want)
		}
	}
}

// variables is the table that `boxoffice serve --help` and docs/configuration.md come from.
type variables struct{ known, secret, needed map[string]bool }

func documentedVariables(t *testing.T) variables {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	v := variables{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z][^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(row[1], -1) {
			v.known[name[1]] = true
			v.secret[name[1]] = strings.Contains(row[2], "*secret*") && name[1] != "KAFKA_USER" && name[1] != "BOXOFFICE_SMTP_USER"
			if strings.Contains(row[2], "*secret*, needed") && !strings.Contains(row[2], "stripe") {
				v.needed[name[1]] = true
			}
		}
	}
	if len(v.known) < 50 || len(v.needed) != 5 {
		t.Fatalf("docs/configuration.md has %d variables, and these are needed: %v", len(v.known), v.needed)
	}
	return v
}
