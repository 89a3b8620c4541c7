package postgres

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestParseVersion(t *testing.T) {
	cases := []struct {
		text, version string
		major         int
	}{
		{"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18", 15},
		{"postgres (PostgreSQL) 17.5\n", "17.5", 17},
		{"postgres (PostgreSQL) 18beta1\n", "18beta1", 18},
		{"postgres (PostgreSQL) 9.6.24\n", "9.6", 9},
		{"postgres: command not found\n", "", 0},
	}
	for _, c := range cases {
		version, major, err := parseVersion(c.text)
		if version != c.version || major != c.major || (err == nil) != (c.major != 0) {
			t.Errorf("parseVersion(%q) = %q, %d, %v; want %q, %d", c.text, version, major, err, c.version, c.major)
		}
	}
}

func TestChooseKeepsToTheReleaseThatMadeTheData(t *testing.T) {
	installed := []Server{{Bin: "/path", Major: 15}, {Bin: "/newest", Major: 17}, {Bin: "/old", Major: 14}}
	cases := []struct {
		name      string
		installed []Server
		dataMajor int
		bin       string // empty: none
	}{
		{"new data, the one on PATH", installed, 0, "/path"},
		{"data of the one on PATH", installed, 15, "/path"},
		{"data of another release", installed, 14, "/old"},
		{"data of a release that is gone", installed, 16, ""},
		{"nothing installed", nil, 0, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server, ok := Choose(c.installed, c.dataMajor)
			if server.Bin != c.bin || ok != (c.bin != "") {
				t.Errorf("Choose = %q, %v; want %q", server.Bin, ok, c.bin)
			}
		})
	}
}

func TestDataMajor(t *testing.T) {
	home := t.TempDir()
	if major, err := DataMajor(home); err != nil || major != 0 {
		t.Errorf("a new home: %d, %v", major, err)
	}
	os.Mkdir(filepath.Join(home, "data"), 0o700)
	os.WriteFile(filepath.Join(home, "data", "PG_VERSION"), []byte("15\n"), 0o600)
	if major, err := DataMajor(home); err != nil || major != 15 {
		t.Errorf("DataMajor = %d, %v; want 15", major, err)
	}
}

func TestParseURL(t *testing.T) {
	cases := []struct {
		dsn     string
		address string // empty: refused
		sslmode string
	}{
		{"postgres://u:p@127.0.0.1:5432/shop?sslmode=disable", "127.0.0.1:5432", "disable"},
		{"postgresql://u:p@db.example/shop", "db.example:5432", "prefer"},
		{"postgres://u@[::1]:6000/shop?sslmode=require", "[::1]:6000", "require"},
		{"postgres://u:p@%2Fvar%2Frun%2Fpostgresql/shop", "", ""},
		{"postgres://u:p@a:1,b:2/shop", "", ""},
		{"host=127.0.0.1 user=u dbname=shop", "", ""},
		{"mysql://u:p@127.0.0.1/shop", "", ""},
		{"postgres://u:s3cret@127.0.0.1:port/shop", "", ""},
	}
	for _, c := range cases {
		t.Run(c.dsn, func(t *testing.T) {
			d, err := ParseURL(c.dsn)
			if c.address == "" {
				if err == nil || !strings.Contains(err.Error(), "DATABASE_URL") || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("ParseURL = %v, %v; want an error that names the variable and no password", d, err)
				}
				return
			}
			if err != nil || d.Address() != c.address || d.Name != "shop" || d.Options.Get("sslmode") != c.sslmode {
				t.Errorf("ParseURL = %+v, %v", d, err)
			}
		})
	}
}

func TestURLCarriesAnyPassword(t *testing.T) {
	want := Database{Host: "127.0.0.1", Port: 5433, Name: "shop", User: "u", Password: "p@ss/w:rd?#% '", Options: map[string][]string{"sslmode": {"disable"}}}
	got, err := ParseURL(want.URL())
	if err != nil || got.Password != want.Password || got.Address() != want.Address() {
		t.Errorf("ParseURL(%q) = %+v, %v", want.URL(), got, err)
	}
}

func TestReachesAsksForSearchPermissionOnEveryFolderAbove(t *testing.T) {
	root := t.TempDir() // its own parents are the system's; only what is below is judged by comparison
	other := Identity{Name: "other", Credential: &syscall.Credential{Uid: 65_000, Gid: 65_000}}
	open := filepath.Join(root, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(root, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if other.reaches(filepath.Join(closed, "data")) {
		t.Error("another user reaches through a folder of mode 0700")
	}
	if mine := (Identity{}); !mine.reaches(filepath.Join(closed, "data")) {
		t.Error("we do not reach our own folder")
	}
	info, err := os.Stat(open)
	if err != nil || !other.maySearch(info) {
		t.Errorf("another user may not search a folder of mode 0755: %v", err)
	}
	owner := Identity{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}}
	if info, err := os.Stat(closed); err != nil || !owner.maySearch(info) {
		t.Errorf("the owner may not search a folder of mode 0700: %v", err)
	}
}

func TestLeftoverPidFilesAreJudgedByTheirProcess(t *testing.T) {
	cases := []struct{ name, content string }{
		{"of a process that is gone", "999999999\n/data\n"},
		{"whose number another program has now", "1\n/data\n"},
		{"torn", "12x"},
		{"empty", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := &Managed{data: t.TempDir()}
			path := filepath.Join(m.data, "postmaster.pid")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := m.stopLeftover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the file is still there (%v): Postgres would refuse to start", err)
			}
		})
	}
}

func TestStockServersLackOnlyTheTuning(t *testing.T) {
	arguments := func(m *Managed) string {
		_, args := m.Command()
		return strings.Join(args, " ")
	}
	tuned, stock := arguments(&Managed{}), arguments(&Managed{Stock: true})
	for _, s := range tuning {
		if flag := "-c " + s.name + "="; !strings.Contains(tuned, flag) || strings.Contains(stock, flag) {
			t.Errorf("%s: want it in the tuned server's arguments alone", s.name)
		}
	}
	for _, s := range settings {
		if flag := "-c " + s.name + "=" + s.value; !strings.Contains(tuned, flag) || !strings.Contains(stock, flag) {
			t.Errorf("%s: want it in both servers' arguments", s.name)
		}
	}
}

func TestNoSettingGivesUpDurability(t *testing.T) {
	for _, s := range slices.Concat(settings, tuning) {
		if slices.Contains([]string{"fsync", "full_page_writes", "synchronous_commit"}, s.name) {
			t.Errorf("%s is set to %s", s.name, s.value)
		}
	}
}
