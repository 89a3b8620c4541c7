package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// openRoutes are what pages of any site may read: what everybody sees who asks, with or
// without a cookie. Nothing that takes a token or does something is among them.
var openRoutes = map[string]bool{
	salesRoute: true, saleRoute: true, eventsRoute: true, queueRoute: true, openAPIRoute: true, problemRoute: true,
}

// exposedHeaders are those that other sites' scripts may read of an answer.
const exposedHeaders = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"

// openToAll lets pages of any site read what is public, without credentials: the answer
// allows every origin, so browsers hand out none that was asked for with cookies.
func openToAll(c *gin.Context) {
	isRead := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
	if isRead && openRoutes[c.FullPath()] {
		h := c.Writer.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
	c.Next()
}

// preflight answers browsers that ask before they read, as they do where the script sets a
// header of its own.
func preflight(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "X-Request-Id")
	h.Set("Access-Control-Max-Age", "86400")
	c.Status(http.StatusNoContent)
}
