package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

// explainProblem is where a problem's type points. It says the same as docs/http.md: both
// come from one table.
func (s *Server) explainProblem(c *gin.Context) {
	code := domain.Code(c.Param("code"))
	k, ok := kinds[code]
	if !ok {
		s.abort(c, domain.NotFound("problem"))
		return
	}
	c.String(http.StatusOK, "%s", k.explain(code))
}

// explain tells people what a code means.
func (k kind) explain(code domain.Code) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (HTTP %d %s)\n%s.\n\n", code, k.status, http.StatusText(k.status), k.title)
	fmt.Fprintf(&b, "What it means: %s.\nWhat to do: %s.\n", plainText(k.means), plainText(k.todo))
	if k.detail != "" {
		fmt.Fprintf(&b, "It usually says: %s\n", k.detail)
	}
	if k.retryAfter > 0 {
		fmt.Fprintf(&b, "Retry-After: %s where nothing better is known.\n", k.retryAfter)
	}
	return b.String()
}

// row is a code's row of the table in docs/http.md.
func (k kind) row(code domain.Code) string {
	return fmt.Sprintf("| %d | `%s` | %s | %s |", k.status, code, k.means, k.todo)
}

var markdownLink = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)

// plainText is Markdown without its links and bold marks.
func plainText(markdown string) string {
	return strings.ReplaceAll(markdownLink.ReplaceAllString(markdown, "$1"), "**", "")
}
