<%-- Logs in. A session that was there before keeps its data and gets a new id, against fixation. --%>
<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
  String user = request.getParameter("user");
  if (request.getSession(false) != null) request.changeSessionId();
  HttpSession session = request.getSession();
  session.setAttribute("user", user);
  session.setAttribute("visits", 0);
%>
{"user": "<%= user %>", "server": "<%= System.getProperty("app.name") %>", "link": "<%= response.encodeURL("/whoami") %>"}
