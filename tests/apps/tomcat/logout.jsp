<%-- Ends the session. Tomcat leaves its cookie where it is. --%>
<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
  HttpSession session = request.getSession(false);
  if (session != null) session.invalidate();
%>
{"user": null, "server": "<%= System.getProperty("app.name") %>"}
