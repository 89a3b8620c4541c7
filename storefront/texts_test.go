package storefront

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Whatever the pages say is in every language, with the same placeholders and the same markup, and in every plural form
// that the language has.
func TestEveryTextIsInEveryLanguage(t *testing.T) {
	said := saidAnywhere(t)
	if len(said) < 300 {
		t.Fatalf("only %d texts were found: the search is broken", len(said))
	}
	english := readAll(t, "en")
	for _, shown := range shownLanguages {
		texts := readAll(t, shown.Tag)
		for text, where := range said {
			f, ok := texts[text]
			if !ok && shown.Tag != "en" {
				t.Errorf("texts/%s.yaml lacks %q, which %s says", shown.Tag, text, where)
			}
			if ok {
				checkForms(t, shown.Tag, text, f, len(english[text]) > 1)
			}
			if countsThings.MatchString(text) && len(english[text]) < 2 {
				t.Errorf("texts/en.yaml lacks the plural forms of %q", text)
			}
		}
		for text := range texts {
			if said[text] == "" {
				t.Errorf("texts/%s.yaml has %q, which nobody says", shown.Tag, text)
			}
		}
	}
}

// countsThings finds texts in which a number stands before what it counts.
var countsThings = regexp.MustCompile(`%d (?:more |free |paid )*[a-z]+s\b|%d people`)

func readAll(t *testing.T, tag string) map[string]forms {
	t.Helper()
	texts, err := readTexts(tag) // refuses a text that is there twice
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	verb  = regexp.MustCompile(`%(?:\[(\d+)\])?([a-z%])`)
	markU = regexp.MustCompile(`</?[a-z][^>]*>`)
)

// verbsOf are the arguments that a text uses, as 1d, 2s …
func verbsOf(text string) []string {
	var found []string
	next := 1
	for _, match := range verb.FindAllStringSubmatch(text, -1) {
		if match[1] != "" {
			next, _ = strconv.Atoi(match[1])
		}
		found = append(found, fmt.Sprint(next, match[2]))
		next++
	}
	slices.Sort(found)
	return found
}

func checkForms(t *testing.T, tag, text string, f forms, isCounted bool) {
	t.Helper()
	names := slices.Sorted(maps.Keys(f))
	if want := formsOf(tag); isCounted && !slices.Equal(names, want) {
		t.Errorf("texts/%s.yaml: %q has the forms %v, want %v", tag, text, names, want)
	} else if !isCounted && !slices.Equal(names, []string{otherForm}) {
		t.Errorf("texts/%s.yaml: %q has the forms %v, and English has one: put its forms into en.yaml", tag, text, names)
	}
	want, markup := verbsOf(text), markU.FindAllString(text, -1)
	slices.Sort(markup)
	for name, form := range f {
		got := verbsOf(form)
		if name != otherForm { // a form for one may do without the number
			missing := slices.DeleteFunc(slices.Clone(want), func(v string) bool { return slices.Contains(got, v) })
			if len(missing) > 1 || len(missing) == 1 && !strings.HasSuffix(missing[0], "d") {
				t.Errorf("texts/%s.yaml: %q: the form %s lacks %v", tag, text, name, missing)
			}
		} else if !slices.Equal(got, want) {
			t.Errorf("texts/%s.yaml: %q has the placeholders %v, want %v", tag, text, got, want)
		}
		marked := markU.FindAllString(form, -1)
		slices.Sort(marked)
		if !slices.Equal(marked, markup) {
			t.Errorf("texts/%s.yaml: %q has the markup %v, want %v", tag, text, marked, markup)
		}
		if strings.TrimSpace(form) == "" || strings.TrimSpace(form) != form {
			t.Errorf("texts/%s.yaml: %q: the form %s is empty, or has space around it", tag, text, name)
		}
	}
}

// formsOf are the plural forms that whole numbers have in a language.
func formsOf(tag string) []string {
	names := map[string]bool{}
	for n := range 1000 {
		form := plural.Cardinal.MatchPlural(language.Make(tag), n, 0, 0, 0, 0)
		for name, f := range pluralForms {
			if f == form {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// saidAnywhere finds what templates, Go and the buyer's scripts say, and where.
func saidAnywhere(t *testing.T) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, name := range shopTemplates(t) {
		for _, tree := range treesOf(t, name) {
			walk(tree.Root, func(node parse.Node) {
				command, ok := node.(*parse.CommandNode)
				if !ok || len(command.Args) < 2 {
					return
				}
				name, isName := command.Args[0].(*parse.IdentifierNode)
				if !isName || name.Ident != "t" && name.Ident != "th" {
					return
				}
				text, isString := command.Args[1].(*parse.StringNode)
				if !isString {
					t.Errorf("%s: %s: want a text in quotes", name, command)
					return
				}
				said[text.Text] = "a template"
			})
		}
	}
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.CallExpr:
				if text, ok := saidBy(node); ok {
					said[text] = set.Position(node.Pos()).String()
				}
			case *ast.KeyValueExpr:
				// What a buyer reads stands in these fields.
				key, isName := node.Key.(*ast.Ident)
				value, isText := node.Value.(*ast.BasicLit)
				if isName && isText && slices.Contains([]string{"Heading", "Text", "Title"}, key.Name) && len(value.Value) > 2 && value.Value != `"Organiser"` {
					t.Errorf("%s: %s is said in English only: want t", set.Position(node.Pos()), value.Value)
				}
			}
			return true
		})
	}
	contents := map[string][]byte{}
	for _, name := range shopScripts(t) {
		if contents[path.Base(name)], err = files.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range textsOfScripts(contents) {
		said[text] = "a script"
	}
	return said
}

// saidBy is the text that a call of t, th or msg says.
func saidBy(call *ast.CallExpr) (string, bool) {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	if len(call.Args) == 0 || name != "t" && name != "th" && name != "msg" {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

func shopTemplates(t *testing.T) []string { return shopFiles(t, "templates/*.html") }

func shopScripts(t *testing.T) []string { return shopFiles(t, "static/*.js") }

// shopFiles are the files that buyers see.
func shopFiles(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(path.Base(name), organiserPage) })
}

func treesOf(t *testing.T, name string) map[string]*parse.Tree {
	t.Helper()
	text, err := files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := tree.Parse(string(text), "", "", trees); err != nil {
		t.Fatal(err)
	}
	return trees
}

// walk visits every node of a template.
func walk(node parse.Node, visit func(parse.Node)) {
	visit(node)
	branch := func(b *parse.BranchNode) {
		walk(b.Pipe, visit)
		walk(b.List, visit)
		if b.ElseList != nil {
			walk(b.ElseList, visit)
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			walk(command, visit)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			walk(arg, visit)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, visit)
		}
	}
}

// readAloud are the attributes that people read or hear.
var readAloud = []string{"alt", "title", "placeholder", "aria-label", "aria-description", "data-unknown", "data-processing"}

// No template has a text of its own.
func TestNoTemplateSaysAnythingInEnglishOnly(t *testing.T) {
	check := func(where, text string) {
		text = strings.NewReplacer("API", "", "QR", "").Replace(text)
		if strings.ContainsFunc(text, unicode.IsLetter) {
			t.Errorf("%s: %q is said in English only: want {{t …}}", where, strings.TrimSpace(text))
		}
	}
	for _, name := range shopTemplates(t) {
		for _, tree := range treesOf(t, name) {
			var page strings.Builder
			walk(tree.Root, func(node parse.Node) {
				switch n := node.(type) {
				case *parse.TextNode:
					page.Write(n.Text)
				case *parse.ActionNode, *parse.TemplateNode:
					page.WriteByte('0')
				}
			})
			z := html.NewTokenizer(strings.NewReader(strings.ReplaceAll(page.String(), "noscript", "div"))) // what is in it is read too
			for z.Next() != html.ErrorToken {
				tag := z.Token()
				if tag.Type == html.TextToken {
					check(name, tag.Data)
				}
				for _, a := range tag.Attr {
					if slices.Contains(readAloud, a.Key) {
						check(name, a.Val)
					}
				}
			}
		}
	}
}

var (
	comments = regexp.MustCompile(`(?s)/\*.*?\*/|(?m)(^|\s)//.*$`)
	calls    = regexp.MustCompile(`\bt\('(?:[^'\\]|\\.)*'`)
	prose    = regexp.MustCompile("['`>][^'`\n]*\\b[A-Za-z]{2,}[,:.…]? [a-z]{2,}[^'`\n]*['`]")
)

// No script has a text of its own.
func TestNoScriptSaysAnythingInEnglishOnly(t *testing.T) {
	for _, name := range shopScripts(t) {
		script, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code := calls.ReplaceAllString(comments.ReplaceAllString(string(script), "$1"), "t(0")
		for _, line := range strings.Split(code, "\n") {
			if strings.Contains(line, "import ") || strings.Contains(line, "document.cookie") || strings.Contains(line, "querySelector") {
				continue
			}
			for _, literal := range regexp.MustCompile("'(?:[^'\\\\\n]|\\\\.)*'|`[^`\n]*`").FindAllString(line, -1) {
				literal = regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(literal, "")
				if prose.MatchString(literal) {
					t.Errorf("%s: %s is said in English only: want t('…')", name, literal)
				}
			}
		}
	}
	for text, want := range map[string]bool{"'Sold out'": true, "'Sold out now'": true, "'All of it'": true, "`a ${n}`": false, "'[data-step=\"1\"]'": false} {
		if prose.MatchString(text) != want {
			t.Errorf("%s is taken for prose: %t", text, !want)
		}
	}
}
