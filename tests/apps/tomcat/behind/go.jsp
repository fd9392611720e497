<%-- Sends its client elsewhere. --%>
<%@ page session="false" %>
<% response.sendRedirect("here"); %>
