package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	browserVariable = "BOXOFFICE_TEST_BROWSER"
	noBrowser       = "none" // the variable that names one, if the one on PATH does not work
	startTimeout    = time.Minute
	// stepTimeout bounds every wait for a page. It is long, because a machine that also runs
	// other tests is slow.
	stepTimeout = 30 * time.Second
)

var browserNames = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"}

// findBrowser returns the path of a Chromium, or why there is none.
func findBrowser() (string, error) {
	switch path := os.Getenv(browserVariable); path {
	case "":
	case noBrowser:
		return "", errors.New("none is wanted")
	default:
		return exec.LookPath(path)
	}
	for _, name := range browserNames {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is on PATH", strings.Join(browserNames, ", "))
}

// shared is the browser of all tests, because starting one takes seconds.
var shared struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(shared.cancel) - 1; i >= 0; i-- {
		shared.cancel[i]()
	}
	os.Exit(code)
}

func startBrowser(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(startTimeout),
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium does not start for root with it
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	shared.cancel = append(shared.cancel, cancel)
	shared.ctx, cancel = chromedp.NewContext(allocator)
	shared.cancel = append(shared.cancel, cancel)
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(shared.ctx) }()
	select {
	case shared.err = <-started:
	case <-time.After(startTimeout):
		shared.err = fmt.Errorf("not within %v", startTimeout)
	}
}

// action is a step in the browser.
type action = chromedp.Action[chromedp.Void]

// visitor is a separate browser profile with one tab.
type visitor struct {
	t   *testing.T
	ctx context.Context
}

// newVisitor opens a tab in a new profile. prepare runs before the first page.
func newVisitor(t *testing.T, prepare ...action) *visitor {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no browser")
	}
	path, err := findBrowser()
	if err != nil {
		if named := os.Getenv(browserVariable); named != "" && named != noBrowser {
			t.Fatalf("%s: %v", browserVariable, err)
		}
		t.Skipf("SKIPPED: no Chromium to test the pages in: %v; %s can name one", err, browserVariable)
	}
	shared.once.Do(func() { startBrowser(path) })
	if shared.err != nil {
		t.Fatalf("%s does not start: %v\n%s can name another one, or be %s", path, shared.err, browserVariable, noBrowser)
	}
	t.Attr("ran-on", filepath.Base(path))
	return openTab(t, shared.ctx, prepare, chromedp.WithNewBrowserContext())
}

// window opens another window of the same profile.
func (v *visitor) window(prepare ...action) *visitor {
	v.t.Helper()
	return openTab(v.t, v.ctx, prepare)
}

func openTab(t *testing.T, parent context.Context, prepare []action, options ...chromedp.ContextOption) *visitor {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	v := &visitor{t: t, ctx: ctx}
	// The first run makes the tab, and its context must outlive a step's.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	v.watch()
	v.run(chromedp.EmulateViewport(1280, 900))
	v.run(prepare...)
	return v
}

// watch accepts a page's dialogs, and fails the test if a script throws.
func (v *visitor) watch() {
	dialogs := chromedp.Events(v.ctx, page.JavascriptDialogOpening)
	go func() {
		for _, err := range dialogs {
			if err != nil {
				return // the tab is closed
			}
			_ = v.try(stepTimeout, call(page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}))
		}
	}()
	var mu sync.Mutex
	var thrown []string
	exceptions := chromedp.Events(v.ctx, runtime.ExceptionThrown)
	go func() {
		for e, err := range exceptions {
			if err != nil {
				return
			}
			mu.Lock()
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			thrown = append(thrown, text)
			mu.Unlock()
		}
	}()
	v.t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, text := range thrown {
			v.t.Errorf("a script throws: %s", text)
		}
	})
}

// call is a command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// beforeLoad runs a script in every page before those of the page.
func beforeLoad(script string) action {
	return call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// withoutScripts switches JavaScript off.
func withoutScripts() action {
	return call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// run runs actions in bounded time.
func (v *visitor) run(actions ...action) {
	v.t.Helper()
	if err := v.try(stepTimeout, actions...); err != nil {
		v.t.Fatalf("%v\n%s", err, v.describe())
	}
}

func (v *visitor) try(timeout time.Duration, actions ...action) error {
	ctx, cancel := context.WithTimeout(v.ctx, timeout)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// describe returns a page's address and text, for a failure.
func (v *visitor) describe() string {
	text, err := evaluate[string](v, 5*time.Second, "location.href + '\\n' + document.body.innerText")
	if err != nil {
		return "the page does not answer: " + err.Error()
	}
	return text
}

func (v *visitor) open(address string) {
	v.t.Helper()
	v.run(chromedp.Navigate(address))
}

// click clicks what a CSS selector finds.
func (v *visitor) click(selector string) {
	v.t.Helper()
	v.run(chromedp.Click(chromedp.CSS(selector)))
}

// press presses a key.
func (v *visitor) press(key string) {
	v.t.Helper()
	v.run(chromedp.KeyEvent(key))
}

// wait waits until an expression is true in the page, or in the one that follows it.
func (v *visitor) wait(expression string) {
	v.t.Helper()
	var last error
	for deadline := time.Now().Add(stepTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var isTrue bool
		if isTrue, last = evaluate[bool](v, stepTimeout, "Boolean("+expression+")"); isTrue {
			return
		}
	}
	v.t.Fatalf("%s never became true (%v)\n%s", expression, last, v.describe())
}

// value evaluates an expression in the page.
func value[T any](v *visitor, expression string) T {
	v.t.Helper()
	answer, err := evaluate[T](v, stepTimeout, expression)
	if err != nil {
		v.t.Fatalf("%s: %v\n%s", expression, err, v.describe())
	}
	return answer
}

func evaluate[T any](v *visitor, timeout time.Duration, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(v.ctx, timeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// shows waits until a text is visible.
func (v *visitor) shows(text string) {
	v.t.Helper()
	v.wait(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// shownHeading waits until a heading is visible.
func (v *visitor) shownHeading(text string) {
	v.t.Helper()
	v.wait(fmt.Sprintf("[...document.querySelectorAll('h1')].some((h) => h.checkVisibility?.() !== false && h.offsetParent && h.textContent === %q)", text))
}

// eventually waits for something outside the browser.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(stepTimeout); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, stepTimeout)
		}
	}
}
