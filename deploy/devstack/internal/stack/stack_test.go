package stack

import (
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/deploy/devstack/internal/envfile"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
)

// The releases are written down once more because a program does not know its own go.mod; this keeps them the same.
func TestReleasesAreThoseOfGoMod(t *testing.T) {
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go.temporal.io/server v" + temporalVersion, "github.com/temporalio/ui-server/v2 v" + webUIVersion} {
		if !strings.Contains(string(raw), want+"\n") {
			t.Errorf("go.mod does not have %q", want)
		}
	}
}

func TestASourcedEnvFileIsNoWishOfTheUser(t *testing.T) {
	dir := t.TempDir()
	own, others := filepath.Join(dir, "own.env"), filepath.Join(dir, "others.env")
	write := func(path string, vars ...envfile.Var) {
		if err := envfile.Write(path, "", vars); err != nil {
			t.Fatal(err)
		}
	}
	write(own, envfile.Var{Name: varDatabase, Value: "postgres://own"}, envfile.Var{Name: varURL, Value: "http://127.0.0.1:8080"},
		envfile.Var{Name: varOTLP, Value: "http://127.0.0.1:4318"}, envfile.Var{Name: varSource, Value: own})
	write(others, envfile.Var{Name: varDatabase, Value: "postgres://others"}, envfile.Var{Name: varSource, Value: others})
	cases := []struct {
		name    string
		environ []string
		want    map[string]string
	}{
		{"nothing set", []string{"PATH=/bin", "DATABASE_URL="}, map[string]string{}},
		{"a wish", []string{"DATABASE_URL=postgres://mine"}, map[string]string{varDatabase: "postgres://mine"}},
		{"our own file sourced", []string{"DATABASE_URL=postgres://own", "BOXOFFICE_URL=http://127.0.0.1:8080", varSource + "=" + own}, map[string]string{}},
		{"our own file sourced, then a wish", []string{"DATABASE_URL=postgres://own", "BOXOFFICE_URL=http://127.0.0.1:81", varSource + "=" + own},
			map[string]string{varURL: "http://127.0.0.1:81"}},
		{"the same address again, by itself", []string{"BOXOFFICE_URL=http://127.0.0.1:8080"}, map[string]string{varURL: "http://127.0.0.1:8080"}},
		{"the same collector again, by itself", []string{varOTLP + "=http://127.0.0.1:4318"}, map[string]string{varOTLP: "http://127.0.0.1:4318"}},
		{"our own Jaeger, sourced", []string{varOTLP + "=http://127.0.0.1:4318", varSource + "=" + own}, map[string]string{}},
		{"our own database by itself: never somebody else's", []string{"DATABASE_URL=postgres://own"}, map[string]string{}},
		{"another stack's file sourced", []string{"DATABASE_URL=postgres://others", varSource + "=" + others}, map[string]string{}},
		{"another stack's file sourced, then a wish", []string{"DATABASE_URL=postgres://mine", varSource + "=" + others},
			map[string]string{varDatabase: "postgres://mine"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := userVariables(c.environ, own); !maps.Equal(got, c.want) {
				t.Errorf("userVariables = %v, want %v", got, c.want)
			}
		})
	}
}

func TestProcessesGetWhatTheyNeedOfTheShellAndNoMore(t *testing.T) {
	for name, value := range map[string]string{
		varAdminToken: "secret", varWebhook + "_FILE": "/run/secret", "AWS_SECRET_ACCESS_KEY": "secret", "SSH_AUTH_SOCK": "secret", "PATHS": "secret",
		"BOXOFFICE_RATE_PER_ADDRESS": "20,100", "BOXOFFICE_FAILPOINTS": "points", "GOGC": "77", "LC_TIME": "C", "https_proxy": "http://proxy",
	} {
		t.Setenv(name, value)
	}
	for name, c := range map[string]struct {
		env       []string
		has, lack []string
	}{
		"Postgres": {environ(systemVariables), []string{"PATH=", "LC_TIME=C"}, []string{"GOGC", "BOXOFFICE_", "https_proxy"}},
		"MockPay":  {environ(systemVariables, goVariables, faultVariables), []string{"PATH=", "GOGC=77", "BOXOFFICE_FAILPOINTS=points"}, []string{"BOXOFFICE_RATE", "https_proxy"}},
		"the box office": {environ(systemVariables, goVariables, productVariables),
			[]string{"GOGC=77", "BOXOFFICE_RATE_PER_ADDRESS=20,100", "BOXOFFICE_FAILPOINTS=points"}, []string{"https_proxy"}},
		"the download": {environ(systemVariables, goVariables, downloadVariables), []string{"https_proxy=http://proxy"}, []string{"BOXOFFICE_"}},
	} {
		text := "\n" + strings.Join(c.env, "\n")
		for _, want := range c.has {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("%s does not get %s", name, want)
			}
		}
		for _, never := range append(c.lack, varAdminToken, varWebhook, "AWS_", "SSH_", "PATHS") {
			if strings.Contains(text, "\n"+never) {
				t.Errorf("%s gets %s of the shell", name, never)
			}
		}
		if strings.Contains(text, "secret") {
			t.Errorf("%s gets a secret of the shell", name)
		}
	}
}

func TestAnAdminListenerOfItsOwnIsKept(t *testing.T) {
	const own = "http://127.0.0.1:18099"
	before := map[string]string{varURL: "http://127.0.0.1:8080", varAdminURL: own}
	start := func(isFree bool, user, before map[string]string) (addresses, error) {
		if isFree {
			return freeAddresses(user, before)
		}
		return chosenAddresses(user, before)
	}
	for _, isFree := range []bool{false, true} {
		for name, c := range map[string]struct {
			user, before map[string]string
			want         string // empty: with the box office
		}{
			"never said":                    {nil, nil, ""},
			"said":                          {map[string]string{varAdminURL: own}, nil, own},
			"said before":                   {nil, before, own},
			"said before, and another now":  {map[string]string{varAdminURL: "http://127.0.0.1:18098"}, before, "http://127.0.0.1:18098"},
			"never said, at a second start": {nil, map[string]string{varURL: own, varAdminURL: own}, ""},
		} {
			a, err := start(isFree, c.user, c.before)
			if err != nil {
				t.Errorf("%s, free ports %t: %v", name, isFree, err)
				continue
			}
			want := c.want
			if want == "" {
				want = a.boxOffice.URL()
			}
			if a.admin.URL() != want {
				t.Errorf("%s, free ports %t: the organiser's routes are at %s, want %s", name, isFree, a.admin.URL(), want)
			}
		}
	}
	if _, err := chosenAddresses(map[string]string{varURL: own}, before); err == nil || !strings.Contains(err.Error(), varAdminURL) {
		t.Errorf("the storefront where they were: %v, want it refused", err)
	}
	if _, err := chosenAddresses(map[string]string{varAdminURL: "http://127.0.0.1:8090"}, nil); err == nil || !strings.Contains(err.Error(), varMockpayURL) {
		t.Errorf("on MockPay's port: %v, want it refused", err)
	}
}

func TestStockServersAreToldNothingOfTheTuning(t *testing.T) {
	if env := temporalTuning(Options{}); !slices.Contains(env, "GOGC=400") {
		t.Errorf("the tuned server's process gets %v", env)
	}
	if env := temporalTuning(Options{StockServers: true}); !slices.Equal(env, []string{"DEVSTACK_STOCK_SETTINGS=true"}) {
		t.Errorf("the stock server's process gets %v", env)
	}
}

func TestChosenAddresses(t *testing.T) {
	cases := []struct {
		name string
		user map[string]string
		err  string // part of it
	}{
		{"the well-known ones", nil, ""},
		{"each moved", map[string]string{
			varURL: "http://127.0.0.1:18080", varMockpayURL: "http://localhost:18090", varTemporal: "127.0.0.1:17233",
			varTemporalUI: "http://127.0.0.1:18233", varCodec: "http://127.0.0.1:18234", varPostgresPort: "15433", varTBPort: "13001",
		}, ""},
		{"the codec on the Web UI's port", map[string]string{varCodec: "http://127.0.0.1:8233"}, varCodec},
		{"the codec where others reach it", map[string]string{varCodec: "http://0.0.0.0:8234"}, varCodec},
		{"two on one port", map[string]string{varURL: "http://127.0.0.1:8090"}, varMockpayURL},
		{"not on loopback", map[string]string{varURL: "http://0.0.0.0:8080"}, varURL},
		{"no port", map[string]string{varPostgresPort: "fivefour"}, varPostgresPort},
		{"a URL where an address is wanted", map[string]string{varTemporal: "http://127.0.0.1:7233"}, varTemporal},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := chosenAddresses(c.user, nil)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("chosenAddresses = %v, want an error that names %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range a.public() {
				if wish := c.user[address.Variable]; wish != "" && !strings.HasSuffix(wish, address.HostPort()) &&
					!strings.HasSuffix(address.HostPort(), ":"+wish) {
					t.Errorf("%s = %s, want %s", address.Variable, address.HostPort(), wish)
				}
			}
			if a.admin.HostPort() != a.boxOffice.HostPort() {
				t.Errorf("admin on %s without a wish for it", a.admin.HostPort())
			}
		})
	}
}

func TestFreeAddressesStayWhereTheyWere(t *testing.T) {
	first, err := freeAddresses(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{varURL: first.boxOffice.URL(), varTemporal: first.temporal.HostPort(), varMockpayURL: "damaged"}
	second, err := freeAddresses(nil, before)
	if err != nil {
		t.Fatal(err)
	}
	if second.boxOffice != first.boxOffice || second.temporal != first.temporal {
		t.Errorf("moved from %v to %v", first, second)
	}
	if err := second.distinct(); err != nil {
		t.Error(err)
	}
}

func TestBooksOfAnotherLedgerOrDatabaseAreRefused(t *testing.T) {
	embedded, own := ledgerBook(tigerbeetle.Embedded, "", "0"), ledgerBook(tigerbeetle.Own, "", "0")
	given := ledgerBook(tigerbeetle.Given, "10.0.0.1:3000", "7")
	elsewhere := "db.example:5432/shop"
	cases := []struct {
		name        string
		before, now books
		what        string // empty: fine
		back        string // part of the way back
	}{
		{"the first start", books{}, books{embedded, ownDatabase}, "", ""},
		{"the same again", books{own, ownDatabase}, books{own, ownDatabase}, "", ""},
		{"embedded, then a TigerBeetle on PATH", books{embedded, ownDatabase}, books{own, ownDatabase}, "ledger", "LEDGER=embedded"},
		{"Postgres, then a TigerBeetle on PATH", books{ledgerBook(tigerbeetle.Postgres, "", "0"), ownDatabase}, books{own, ownDatabase}, "ledger", "LEDGER=postgres"},
		{"TigerBeetle, then none", books{own, ownDatabase}, books{embedded, ownDatabase}, "ledger", "on PATH"},
		{"its own TigerBeetle, then another's", books{own, ownDatabase}, books{given, ownDatabase}, "ledger", varTBAddress},
		{"its own Postgres, then another's", books{own, ownDatabase}, books{own, elsewhere}, "database", varDatabase + " unset"},
		{"another's Postgres, then its own", books{own, elsewhere}, books{own, ownDatabase}, "database", varDatabase + " set"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.now.check(c.before)
			if c.what == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var changed *ChangedBooksError
			if !errors.As(err, &changed) || changed.What != c.what || !strings.Contains(changed.Back, c.back) {
				t.Errorf("check = %v; want the %s refused, and %q as the way back", err, c.what, c.back)
			}
		})
	}
}

func TestSecretsStayAndMissingOnesAreMade(t *testing.T) {
	first := keepSecrets(nil)
	key, err := base64.StdEncoding.DecodeString(first[varServerKey])
	if err != nil || len(key) != 32 {
		t.Errorf("server key: %d bytes, %v; want 32", len(key), err)
	}
	hook, found := strings.CutPrefix(first[varWebhook], "whsec_")
	if raw, err := base64.StdEncoding.DecodeString(hook); !found || err != nil || len(raw) < 24 {
		t.Errorf("webhook secret is not whsec_ and base64 of at least 24 bytes (Standard Webhooks): %v", err)
	}
	id, payloadKey, _ := strings.Cut(first[varPayloadKeys], ":")
	if raw, err := base64.StdEncoding.DecodeString(payloadKey); id == "" || err != nil || len(raw) != 32 {
		t.Errorf("payload keys are not id:base64 of 32 bytes: %d bytes, %v", len(raw), err)
	}
	if second := keepSecrets(first); !maps.Equal(first, second) {
		t.Error("a second start has made new secrets")
	}
	partly := map[string]string{varServerKey: first[varServerKey]}
	third := keepSecrets(partly)
	if third[varServerKey] != first[varServerKey] || third[varAdminToken] == "" || third[varAdminToken] == first[varAdminToken] || third[varCodecToken] == "" {
		t.Error("want the secret that was there kept and the others made")
	}
}

func TestStatusIsReadBackAsWritten(t *testing.T) {
	dir := t.TempDir()
	b := newBoard(dir)
	b.update(failedWith(errors.New("port 8080 is taken")))
	got, err := ReadStatus(dir)
	if err != nil || got.State != StateFailed || got.Error != "port 8080 is taken" || got.PID != os.Getpid() {
		t.Errorf("ReadStatus = %+v, %v", got, err)
	}
}

func TestCleanTakesOnlyWhatIsOursAndAgreedTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	always := func([]string) bool { return true }
	if removed, err := Clean(dir, always); err != nil || len(removed) != 0 {
		t.Errorf("nothing there: %v, %v", removed, err)
	}
	foreign := t.TempDir()
	os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o600)
	if removed, err := Clean(foreign, always); err == nil {
		t.Errorf("a foreign directory: removed %v", removed)
	}
	os.Mkdir(dir, 0o755)
	if removed, err := Clean(dir, func([]string) bool { return false }); err != nil || len(removed) != 0 || !exists(dir) {
		t.Errorf("not agreed to: %v, %v", removed, err)
	}
	if removed, err := Clean(dir, always); err != nil || len(removed) != 1 || exists(dir) {
		t.Errorf("agreed to: %v, %v", removed, err)
	}
}
