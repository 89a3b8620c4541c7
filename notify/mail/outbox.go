package mail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"

	"boxoffice/domain"

	_ "embed"
)

// Pages that show the mails of a folder, for the local stack, which sends no mail. They show everybody's tickets, so they answer
// only this machine.

const (
	shownMax      = 200
	mailBytesMax  = 16 << 20
	partsDepthMax = 5
)

//go:embed outbox.html
var outboxPage string

var outboxTemplate = template.Must(template.New("outbox.html").Parse(outboxPage))

// shownMail is a mail as the pages show it.
type shownMail struct {
	Name              string
	Subject, To, Date string
	Text              string
	html              []byte
	Files             []shownFile
	images            map[string]File // by content id
}

type shownFile struct {
	Name    string
	content []byte
	kind    string
}

// ServeHTTP answers GET of /, /{mail}, /{mail}/html and /{mail}/files/{file}, after the caller has stripped any prefix. Requests
// from another machine, or under another host name, get a 404.
func (f *Folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !isLocal(r) {
		http.NotFound(w, r)
		return
	}
	name, rest, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	if name == "" {
		f.showAll(w, r)
		return
	}
	mail, err := f.read(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	switch file, isFile := strings.CutPrefix(rest, "files/"); {
	case rest == "":
		_ = outboxTemplate.ExecuteTemplate(w, "mail", mail) // the client has gone
	case rest == "html":
		// Sandboxed: no script and no origin. It can load only what it contains.
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
		_, _ = w.Write(mail.withImages())
	case isFile:
		f.serveFile(w, r, mail, file)
	default:
		http.NotFound(w, r)
	}
}

// isLocal also checks the host name: a page elsewhere whose name resolves to this machine must not read mails.
func isLocal(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !domain.IsLoopback(peer) {
		return false
	}
	for _, ofProxies := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip"} {
		if r.Header.Get(ofProxies) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return domain.IsLoopback(strings.Trim(host, "[]"))
}

func (f *Folder) showAll(w http.ResponseWriter, r *http.Request) {
	names, err := f.list(shownMax)
	if err != nil {
		http.Error(w, "The mail folder cannot be read.", http.StatusInternalServerError)
		return
	}
	var mails []*shownMail
	for _, name := range names {
		if mail, err := f.read(name); err == nil {
			mails = append(mails, mail)
		}
	}
	_ = outboxTemplate.ExecuteTemplate(w, "all", map[string]any{"Folder": f.path, "Mails": mails}) // as above
	_ = r
}

func (f *Folder) serveFile(w http.ResponseWriter, r *http.Request, mail *shownMail, name string) {
	for _, file := range mail.Files {
		if file.Name == name {
			w.Header().Set("Content-Type", file.kind)
			w.Header().Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": file.Name}))
			_, _ = w.Write(file.content)
			return
		}
	}
	http.NotFound(w, r)
}

func (f *Folder) read(name string) (*shownMail, error) {
	if !fileName.MatchString(name) {
		return nil, os.ErrNotExist
	}
	file, err := os.Open(filepath.Join(f.path, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parsed, err := netmail.ReadMessage(io.LimitReader(file, mailBytesMax))
	if err != nil {
		return nil, err
	}
	words := new(mime.WordDecoder)
	mail := &shownMail{Name: name, Date: parsed.Header.Get("Date"), images: make(map[string]File)}
	if mail.Subject, err = words.DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		mail.Subject = parsed.Header.Get("Subject")
	}
	if mail.To, err = words.DecodeHeader(parsed.Header.Get("To")); err != nil {
		mail.To = parsed.Header.Get("To")
	}
	return mail, mail.add(parsed.Header.Get, parsed.Body, partsDepthMax)
}

// add sorts a part and its subparts into what the page shows.
func (m *shownMail) add(header func(string) string, body io.Reader, depth int) error {
	kind, parameters, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "multipart/") {
		if depth == 0 {
			return errors.New("parts within parts within parts")
		}
		parts := multipart.NewReader(body, parameters["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return err
			}
			if err := m.add(part.Header.Get, part, depth-1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(header("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	disposition, named, _ := mime.ParseMediaType(header("Content-Disposition"))
	switch id := strings.Trim(header("Content-Id"), "<>"); {
	case id != "":
		m.images[id] = File{id, kind, content}
	case disposition == "attachment":
		m.Files = append(m.Files, shownFile{named["filename"], content, kind})
	case kind == "text/html":
		m.html = content
	default:
		m.Text = string(content)
	}
	return nil
}

// withImages is the HTML with its images inlined.
func (m *shownMail) withImages() []byte {
	html := m.html
	for id, image := range m.images {
		data := "data:" + image.ContentType + ";base64," + base64.StdEncoding.EncodeToString(image.Content)
		html = bytes.ReplaceAll(html, []byte(`"cid:`+id+`"`), []byte(`"`+data+`"`))
	}
	return html
}
