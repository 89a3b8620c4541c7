// Command grafana writes the dashboards beside it, as JSON for Grafana 10 or later: go run ./deploy/grafana
//
// dashboards.go says what they show. A test holds the JSON against it.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	folder := flag.String("to", "deploy/grafana", "the `folder` to write to")
	flag.Parse()
	for _, d := range dashboards() {
		text, err := render(d)
		if err == nil {
			err = os.WriteFile(filepath.Join(*folder, d.file()), text, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "grafana:", err)
			os.Exit(1)
		}
	}
}

// A dashboard is some rows of panels.
type dashboard struct {
	name, title, what string
	rows              []row
}

func (d dashboard) file() string { return d.name + ".json" }

type row struct {
	title  string
	panels []panel
}

// A panel shows some queries over time.
type panel struct {
	title string
	// normal says how it looks when all is well, and what else would mean.
	normal  string
	unit    string // Grafana's name of it
	queries []query
}

type query struct{ expr, legend string }

// The grid of a dashboard is 24 wide; three panels share a line.
const (
	panelWidth    = 8
	panelHeight   = 8
	panelsPerLine = 24 / panelWidth
)

type object = map[string]any

// source is chosen by whoever looks: any Prometheus that Grafana knows.
var source = object{"type": "prometheus", "uid": "${source}"}

// render is the dashboard in Grafana's JSON. Keys are sorted, so that the same dashboard is the same text.
func render(d dashboard) ([]byte, error) {
	var panels []object
	id, y := 0, 0
	add := func(p object, x, width, height int) {
		id++
		p["id"], p["gridPos"] = id, object{"x": x, "y": y, "w": width, "h": height}
		panels = append(panels, p)
	}
	for _, row := range d.rows {
		add(object{"type": "row", "title": row.title, "collapsed": false, "panels": []object{}}, 0, 24, 1)
		y++
		for i, p := range row.panels {
			if i > 0 && i%panelsPerLine == 0 {
				y += panelHeight
			}
			add(p.json(), i%panelsPerLine*panelWidth, panelWidth, panelHeight)
		}
		y += panelHeight
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(object{
		"uid": "boxoffice-" + d.name, "title": "Box office: " + d.title, "description": d.what, "tags": []string{"boxoffice"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "10s", "timezone": "browser",
		"time": object{"from": "now-30m", "to": "now"}, "panels": panels,
		"templating": object{"list": []object{{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}}},
		"links": []object{{
			"type": "dashboards", "title": "Box office", "tags": []string{"boxoffice"}, "asDropdown": true, "keepTime": true,
			"icon": "external link", "tooltip": "", "targetBlank": false, "includeVars": false,
		}},
		"annotations": object{"list": []object{}},
	})
	return b.Bytes(), err
}

func (p panel) json() object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "expr": q.expr, "legendFormat": q.legend, "datasource": source, "range": true,
		})
	}
	return object{
		"type": "timeseries", "title": p.title, "description": p.normal, "datasource": source, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0, "custom": object{"fillOpacity": 10}}, "overrides": []object{}},
		"options": object{
			"legend":  object{"showLegend": true, "displayMode": "table", "placement": "bottom", "calcs": []string{"lastNotNull", "max"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}
