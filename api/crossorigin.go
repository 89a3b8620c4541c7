package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// openRoutes are what pages of any site may read: what everybody gets, with or without a
// cookie. None of them takes a token or changes anything.
var openRoutes = map[string]bool{
	salesRoute: true, saleRoute: true, eventsRoute: true, queueRoute: true, openAPIRoute: true, problemRoute: true,
}

// exposedHeaders are the response headers that other sites' scripts may read.
const exposedHeaders = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"

// openToAll lets pages of any site read what is public, without credentials. The answer
// allows every origin, so browsers withhold answers to requests with cookies.
func openToAll(c *gin.Context) {
	isRead := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
	if isRead && openRoutes[c.FullPath()] {
		h := c.Writer.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
	c.Next()
}

// preflight answers browsers that ask before they read, which they do if the script sets
// a header of its own.
func preflight(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "X-Request-Id")
	h.Set("Access-Control-Max-Age", "86400")
	c.Status(http.StatusNoContent)
}
