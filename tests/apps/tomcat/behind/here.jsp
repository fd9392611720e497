<%-- What the application takes the request for. Begins a session. --%>
<%@ page contentType="application/json" trimDirectiveWhitespaces="true" %>
{"scheme": "<%= request.getScheme() %>", "secure": <%= request.isSecure() %>, "url": "<%= request.getRequestURL() %>", "client": "<%= request.getRemoteAddr() %>"}
