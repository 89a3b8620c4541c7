package mail

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
)

func folderWithTickets(t *testing.T) *Folder {
	t.Helper()
	folder, err := NewFolder(filepath.Join(t.TempDir(), "mail"), sender)
	require.NoError(t, err)
	templates := ours(t)
	sample := samples(domain.MailTickets)[0]
	sample.Sale = `<script>alert(1)</script> & Söhne`
	m, err := templates.write(templates.languages[0], domain.MailTickets, sample)
	require.NoError(t, err)
	m.ID, m.To = "evt_1", "jürgen@example.com"
	for range 2 { // a repeat is the same file
		require.NoError(t, folder.Send(t.Context(), m))
	}
	return folder
}

func TestMailsAreFilesOfTheirOwnerAlone(t *testing.T) {
	folder := folderWithTickets(t)
	entries, err := os.ReadDir(folder.path)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "evt_1.eml", entries[0].Name())
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// The pages show a mail with its codes, and nothing of it runs or loads anything.
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
	require.Equal(t, 200, all.Code)
	require.Contains(t, all.Body.String(), `href="evt_1.eml"`)
	require.Contains(t, all.Body.String(), "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne")
	require.Contains(t, all.Body.String(), "jürgen@example.com")
	one := get("/evt_1.eml")
	require.Contains(t, one.Body.String(), `sandbox="allow-popups"`)
	require.Contains(t, one.Body.String(), "Ticket 1 of 3, A: 00000 AAAAA")
	html := get("/evt_1.eml/html")
	require.Contains(t, html.Header().Get("Content-Security-Policy"), "sandbox allow-popups; default-src 'none'")
	require.Equal(t, 3, strings.Count(html.Body.String(), "data:image/png;base64,"))
	require.NotContains(t, html.Body.String(), "<script>")
	pdf := get("/evt_1.eml/files/tickets.pdf")
	require.Equal(t, "application/pdf", pdf.Header().Get("Content-Type"))
	require.True(t, strings.HasPrefix(pdf.Body.String(), "%PDF-"))
	for _, path := range []string{"/evt_2.eml", "/..%2fsecret.eml", "/../folder.go", "/evt_1.eml/files/x", "/evt_1.eml/other", "/.new-1.eml"} {
		require.Equal(t, 404, get(path).Code, path)
	}
}

// Mails have everybody's tickets: only who sits at the machine sees them.
func TestThePagesOfTheFolderAreForThisMachine(t *testing.T) {
	folder := folderWithTickets(t)
	for name, change := range map[string]func(*http.Request){
		"from elsewhere":         func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5000" },
		"under another name":     func(r *http.Request) { r.Host = "rebound.example:8080" },
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
			require.Equal(t, 404, w.Code)
		})
	}
}
