<%-- As /whoami, on a page as JSPs are by default: where there is no session it begins one. --%>
<%@ page contentType="application/json" trimDirectiveWhitespaces="true" %>
<%
  Object user = session.getAttribute("user");
  int visits = 0;
  if (user == null) {
    response.setStatus(401);
  } else {
    visits = (Integer) session.getAttribute("visits") + 1;
    session.setAttribute("visits", visits);
  }
%>
{"user": <%= user == null ? "null" : "\"" + user + "\"" %>, "server": "<%= System.getProperty("app.name") %>", "visits": <%= visits %>}
