package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/bojanz/currency"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"boxoffice/domain"
)

//go:embed templates
var builtIn embed.FS

// Names of templates. Each language's folder has a .txt, which also defines the subject, and a .html of each kind.
const (
	layoutFile = "layout.html"
	pdfFile    = "pdf.txt"
)

var kinds = domain.AllMailKinds()

// templateBytesMax bounds an operator's file.
const templateBytesMax = 1 << 20

// Templates write mails in every language that has templates.
type Templates struct {
	languages []*words // the default first
	matcher   language.Matcher
	fonts     fonts
}

// words are the templates of one language.
type words struct {
	tag  language.Tag
	html map[domain.MailKind]*htmltemplate.Template
	text map[domain.MailKind]*texttemplate.Template
	pdf  *texttemplate.Template
}

// ReadTemplates parses the templates and writes each mail once from sample orders. Files in the operator's folder replace ours of
// the same name. A language that we do not have must be complete there. Errors name file and line.
func ReadTemplates(folder, otherwise string) (*Templates, error) {
	ours, err := fs.Sub(builtIn, "templates")
	if err != nil {
		return nil, err
	}
	files := overlay{below: ours}
	if folder != "" {
		if files.above = os.DirFS(folder); !isFolder(folder) {
			return nil, fmt.Errorf("%s is not a folder", folder)
		}
	}
	names, err := files.languages()
	if err != nil {
		return nil, err
	}
	t := &Templates{}
	if t.fonts, err = readFonts(files); err != nil {
		return nil, err
	}
	var problems []error
	var tags []language.Tag
	if i := slices.Index(names, otherwise); i > 0 {
		names = append([]string{otherwise}, slices.Delete(names, i, i+1)...)
	} else if i < 0 {
		return nil, fmt.Errorf("there are no mails in %q, only in %s", otherwise, strings.Join(names, ", "))
	}
	for _, name := range names {
		w, err := readWords(files, name)
		if err == nil {
			err = t.try(w)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		t.languages, tags = append(t.languages, w), append(tags, w.tag)
	}
	t.matcher = language.NewMatcher(tags)
	return t, errors.Join(problems...)
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// match finds the best words for an Accept-Language list, or else the default.
func (t *Templates) match(languages string) *words {
	tags, _, err := language.ParseAcceptLanguage(languages)
	if err != nil || len(tags) == 0 {
		return t.languages[0]
	}
	_, i, confidence := t.matcher.Match(tags...)
	if confidence == language.No {
		return t.languages[0]
	}
	return t.languages[i]
}

// overlay is our files with the operator's on top.
type overlay struct{ above, below fs.FS }

func (o overlay) read(name string) ([]byte, error) {
	if o.above != nil {
		info, err := fs.Stat(o.above, name)
		switch {
		case err == nil && info.Size() > max(templateBytesMax, fontBytesMax):
			return nil, fmt.Errorf("%s is too large for a template", name)
		case err == nil:
			return fs.ReadFile(o.above, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return fs.ReadFile(o.below, name)
}

// languages lists the folders. It refuses a file that nothing would read, because its name must be misspelt.
func (o overlay) languages() ([]string, error) {
	entries, err := fs.ReadDir(o.below, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	if o.above == nil {
		return names, nil
	}
	if entries, err = fs.ReadDir(o.above, "."); err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, "."):
		case !entry.IsDir() && !slices.Contains([]string{layoutFile, fontFile, boldFile}, name):
			return nil, fmt.Errorf("%s is not a template: want %s, %s, %s, and a folder for each language", name, layoutFile, fontFile, boldFile)
		case entry.IsDir():
			if err := o.checkFolder(name); err != nil {
				return nil, err
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func (o overlay) checkFolder(name string) error {
	if _, err := language.Parse(name); err != nil {
		return fmt.Errorf("the folder %s is not a language such as de or pt-BR", name)
	}
	entries, err := fs.ReadDir(o.above, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		file := entry.Name()
		if strings.HasPrefix(file, ".") || file == pdfFile {
			continue
		}
		extension := path.Ext(file)
		if !slices.Contains(kinds, domain.MailKind(strings.TrimSuffix(file, extension))) || extension != ".txt" && extension != ".html" {
			return fmt.Errorf("%s/%s is not a template: want .txt and .html of %v, and %s", name, file, kinds, pdfFile)
		}
	}
	return nil
}

func readWords(files overlay, name string) (*words, error) {
	w := &words{
		tag:  language.Make(name),
		html: make(map[domain.MailKind]*htmltemplate.Template),
		text: make(map[domain.MailKind]*texttemplate.Template),
	}
	funcs := map[string]any{"money": w.money, "plural": w.plural}
	layout, err := files.read(layoutFile)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, kind := range kinds {
		for _, extension := range []string{".html", ".txt"} {
			file := name + "/" + string(kind) + extension
			body, err := files.read(file)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			if extension == ".txt" {
				w.text[kind], err = texttemplate.New(file).Funcs(funcs).Parse(string(body))
			} else if w.html[kind], err = htmltemplate.New(layoutFile).Funcs(funcs).Parse(string(layout)); err == nil {
				_, err = w.html[kind].New(file).Parse(string(body))
			}
			problems = append(problems, err)
		}
	}
	body, err := files.read(name + "/" + pdfFile)
	if err == nil {
		w.pdf, err = texttemplate.New(name + "/" + pdfFile).Parse(string(body))
	}
	return w, errors.Join(append(problems, err)...)
}

// money writes an amount the way this language does.
func (w *words) money(minor int64, code string) (string, error) {
	amount, err := currency.NewAmountFromInt64(minor, code)
	if err != nil { // the currency no longer exists
		return domain.FormatMoney(minor, code), nil
	}
	return currency.NewFormatter(currency.NewLocale(w.tag.String())).Format(amount), nil
}

// plural chooses a form by its CLDR category: zero, one, two, few, many, other. A %d in the form becomes the number.
func (w *words) plural(n any, forms ...string) (string, error) {
	number, err := asNumber(n)
	if err != nil {
		return "", err
	}
	category := pluralNames[plural.Cardinal.MatchPlural(w.tag, number, 0, 0, 0, 0)]
	if len(forms)%2 != 0 {
		return "", errors.New("plural: each form needs its category before it, such as \"one\" \"ticket\" \"other\" \"tickets\"")
	}
	other, found := "", false
	for i := 0; i < len(forms); i += 2 {
		switch forms[i] {
		case category:
			return fillIn(forms[i+1], number), nil
		case pluralNames[plural.Other]:
			other, found = forms[i+1], true
		}
	}
	if !found {
		return "", errors.New(`plural: the form "other" is missing`)
	}
	return fillIn(other, number), nil
}

var pluralNames = map[plural.Form]string{
	plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other",
}

func asNumber(n any) (int, error) {
	switch n := n.(type) {
	case int:
		return n, nil
	case int64:
		return int(n), nil
	default:
		return 0, fmt.Errorf("plural: want a number, got %T", n)
	}
}

func fillIn(form string, n int) string { return strings.ReplaceAll(form, "%d", fmt.Sprint(n)) }

// write renders a message.
func (t *Templates) write(w *words, kind domain.MailKind, tells *Tells) (*Message, error) {
	tells.Language = w.tag.String()
	subject, err := execute(w.text[kind].Lookup("subject"), tells)
	if err != nil {
		return nil, err
	}
	tells.Subject = oneLine(subject)
	m := &Message{Subject: tells.Subject}
	if m.Text, err = execute(w.text[kind], tells); err != nil {
		return nil, err
	}
	var html bytes.Buffer
	if err := w.html[kind].ExecuteTemplate(&html, layoutFile, tells); err != nil {
		return nil, err
	}
	m.HTML = html.String()
	if kind == domain.MailTickets {
		return m, t.addTickets(w, m, tells)
	}
	return m, nil
}

func execute(t *texttemplate.Template, data any) (string, error) {
	var b bytes.Buffer
	err := t.Execute(&b, data)
	return b.String(), err
}

// try writes every mail from the samples, so that a broken template fails at startup and not when a buyer waits.
func (t *Templates) try(w *words) error {
	var problems []error
	for _, kind := range kinds {
		if w.text[kind].Lookup("subject") == nil {
			problems = append(problems, fmt.Errorf("%s/%s.txt:1: want {{define \"subject\"}}…{{end}}", w.tag, kind))
			continue
		}
		for _, sample := range samples(kind) {
			m, err := t.write(w, kind, sample)
			if err == nil && m.Subject == "" {
				err = fmt.Errorf("%s/%s.txt: the subject is empty", w.tag, kind)
			}
			if err != nil {
				problems = append(problems, err)
				break
			}
		}
	}
	return errors.Join(problems...)
}

// fives writes a ticket's code in groups of five, as the pages do.
func fives(code string) string {
	var b strings.Builder
	for i, r := range code {
		if i > 0 && i%5 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
