"""The studio's pages: HTTP only. Every page is a URL and a form; none requires JavaScript."""
