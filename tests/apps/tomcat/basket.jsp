<%-- Puts one thing into the basket of a session that needs no login, and opens one where there is none. --%>
<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%
  HttpSession session = request.getSession();
  Object before = session.getAttribute("basket");
  int basket = before == null ? 1 : (Integer) before + 1;
  session.setAttribute("basket", basket);
%>
{"basket": <%= basket %>, "server": "<%= System.getProperty("app.name") %>"}
