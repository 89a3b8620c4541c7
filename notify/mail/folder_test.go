package mail

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boxoffice/domain"
)

func folderWithTickets(t *testing.T) *Folder {
	t.Helper()
	folder, err := NewFolder(filepath.Join(t.TempDir(), "mail"), sender)
	noError(t, err)
	templates := ours(t)
	sample := samples(domain.MailTickets)[0]
	sample.Sale = `<script>alert(1)</script> & Söhne`
	m, err := templates.write(templates.languages[0], domain.MailTickets, sample)
	noError(t, err)
	m.ID, m.To = "evt_1", "jürgen@example.com"
	for range 2 { // a repeat overwrites the file
		noError(t, folder.Send(t.Context(), m))
	}
	return folder
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	folder := folderWithTickets(t)
	entries, err := os.ReadDir(folder.path)
	noError(t, err)
	equal(t, 1, len(entries))
	equal(t, "evt_1.eml", entries[0].Name())
	info, err := entries[0].Info()
	noError(t, err)
	equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// The pages show a mail with its QR codes, and nothing in it runs or loads anything.
func TestThePagesOfTheFolder(t *testing.T) {
	folder := folderWithTickets(t)
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:8080"
		w := httptest.NewRecorder()
		folder.ServeHTTP(w, r)
		return w
	}
	all := get("/")
	equal(t, 200, all.Code)
	contains(t, all.Body.String(), `href="evt_1.eml"`)
	contains(t, all.Body.String(), "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne")
	contains(t, all.Body.String(), "jürgen@example.com")
	one := get("/evt_1.eml")
	contains(t, one.Body.String(), `sandbox="allow-popups"`)
	contains(t, one.Body.String(), "Ticket 1 of 3, A: 00000 AAAAA")
	html := get("/evt_1.eml/html")
	contains(t, html.Header().Get("Content-Security-Policy"), "sandbox allow-popups; default-src 'none'")
	equal(t, 3, strings.Count(html.Body.String(), "data:image/png;base64,"))
	lacks(t, html.Body.String(), "<script>")
	pdf := get("/evt_1.eml/files/tickets.pdf")
	equal(t, "application/pdf", pdf.Header().Get("Content-Type"))
	wantTrue(t, strings.HasPrefix(pdf.Body.String(), "%PDF-"))
	for _, path := range []string{"/evt_2.eml", "/..%2fsecret.eml", "/../folder.go", "/evt_1.eml/files/x", "/evt_1.eml/other", "/.new-1.eml"} {
		equal(t, 404, get(path).Code, path)
	}
}

// The mails have everybody's tickets, so only a browser on this machine may see them.
func TestThePagesOfTheFolderAnswerOnlyThisMachine(t *testing.T) {
	folder := folderWithTickets(t)
	for name, change := range map[string]func(*http.Request){
		"from elsewhere":         func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5000" },
		"under another name":     func(r *http.Request) { r.Host = "rebound.example:8080" },
		"through a plain proxy":  func(r *http.Request) { r.Header.Set("X-Real-Ip", "192.0.2.1") },
		"through a proxy":        func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"to write":               func(r *http.Request) { r.Method = http.MethodPost },
		"from no address at all": func(r *http.Request) { r.RemoteAddr = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Host = "127.0.0.1:5000", "localhost:8080"
			change(r)
			w := httptest.NewRecorder()
			folder.ServeHTTP(w, r)
			equal(t, 404, w.Code)
		})
	}
}

func TestMailsToAnErasedBuyerAreRemoved(t *testing.T) {
	folder := folderWithTickets(t)
	noError(t, os.WriteFile(filepath.Join(folder.path, "notes.eml"), []byte("no mail of ours"), 0o600))
	noError(t, folder.Forget([]string{"somebody@example.com"}))
	left := func() (names []string) {
		entries, err := os.ReadDir(folder.path)
		noError(t, err)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names
	}
	equal(t, 2, len(left()))
	for range 2 {
		noError(t, folder.Forget([]string{"somebody@example.com", "jürgen@example.com"}))
		equal(t, 1, len(left()))
		equal(t, "notes.eml", left()[0])
	}
}
