<%-- Who is logged in, and how many times this session asked. --%>
<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
  HttpSession session = request.getSession(false);
  Object user = session == null ? null : session.getAttribute("user");
  int visits = 0;
  if (user == null) {
    response.setStatus(401);
  } else {
    synchronized (session) {
      visits = (Integer) session.getAttribute("visits") + 1;
      session.setAttribute("visits", visits);
    }
  }
%>
{"user": <%= user == null ? "null" : "\"" + user + "\"" %>, "server": "<%= System.getProperty("app.name") %>", "visits": <%= visits %>}
